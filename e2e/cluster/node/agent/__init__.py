"""What a cloud provider, a storage driver and a network plugin do elsewhere, in one small process."""
