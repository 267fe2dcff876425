"""The access service: registry tokens, the judgement of every request, and the writes of manifests."""
