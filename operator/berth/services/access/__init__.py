"""The access service: registry tokens, decisions, and writes of manifests."""
