"""Writes the gateway's nginx configuration and keeps it current."""
