"""The `kubectl berth` plugin."""
