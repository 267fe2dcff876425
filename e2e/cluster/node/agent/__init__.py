"""What a cloud provider, a storage driver and a network plugin do elsewhere, done for one node by one small process."""
