"""End-to-end tests: the real cluster, the real chart, the real clients."""
