"""Builds the images of Berth and of its tests into OCI archives, with no registry and no container engine's service."""
