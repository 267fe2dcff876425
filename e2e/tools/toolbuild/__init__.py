"""Builds the programs that the test cluster and the end-to-end tests run, from package registries alone."""
