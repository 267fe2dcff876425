"""A real single-node Kubernetes cluster in network, mount and PID namespaces of its own, for tests and the demo."""
