"""A real single-node Kubernetes cluster in namespaces of its own, for tests and the demo."""
