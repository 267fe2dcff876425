"""Berth: every project a private container registry of its own."""
