"""Where everything of the cluster is, and its addresses. The only reader of the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

NODE = "node-1"
NODE_IP = "10.77.0.10"
NODE_NET = "10.77.0.0/24"
POD_NET = "10.78.0.0/22"
SERVICE_NET = "10.79.0.0/16"
API_SERVICE_IP = "10.79.0.1"
DNS_IP = "10.79.0.10"
DOMAIN = "cluster.local"
API_PORT = 6443
API_URL = f"https://{NODE_IP}:{API_PORT}"


class ClusterError(Exception):
    """A failure, as one sentence for the user."""


@dataclass(frozen=True)
class Settings:
    """The cluster's folders. `state` is visible at the same path inside and outside the namespaces."""

    state: Path
    tools: Path
    host: str

    @property
    def bin(self) -> Path:
        return self.tools / "bin"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def conf(self) -> Path:
        return self.state / "conf"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def pids(self) -> Path:
        return self.state / "pids"

    @property
    def data(self) -> Path:
        return self.state / "data"

    @property
    def trust(self) -> Path:
        return self.state / "trust"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def bundle(self) -> Path:
        return self.trust / "bundle.pem"

    @property
    def registry_ca(self) -> Path:
        return self.trust / "ca.crt"

    @property
    def containerd_socket(self) -> Path:
        return Path("/run/node/containerd.sock")

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    def program(self, name: str) -> str:
        """The path of a built tool, or a sentence on how to get it."""
        path = self.bin / name
        if not path.exists():
            raise ClusterError(f"{name} is not built: run `e2e/tools/build {name}`")
        return str(path)

    def tail_of(self, component: str, lines: int = 25) -> str:
        """The end of a component's log, indented for people."""
        path = self.logs / f"{component}.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        shown = text.splitlines()[-lines:] or ["(empty)"]
        return "\n".join([f"the end of {path}:", *(f"  | {line[:400]}" for line in shown)])


def read_settings() -> Settings:
    """The settings that the environment gives."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    tools = os.environ.get("BERTH_TOOLS") or f"{cache}/berth/tools"
    state = os.environ.get("BERTH_CLUSTER") or "/var/lib/berth-cluster"
    return Settings(
        Path(state).absolute(), Path(tools).absolute(), os.environ.get("BERTH_HOST") or "registry.berth.test"
    )
