"""Mounts inside the namespaces: what the node writes goes to the cluster's own folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

from node import cgroups
from node.settings import DNS_IP, DOMAIN, NODE, NODE_IP, Settings

# Folders of the machine that the node's own folders lie over.
OVER = (
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/lib/containers",
    "/var/log",
    "/etc/cni",
    "/etc/docker",
    "/etc/containers",
    "/etc/containerd",
    "/opt/containerd",
    "/usr/libexec/kubernetes",
)

# Kernel settings that the kubelet writes: it finds the value it wants in a file of ours.
SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, timeout=10)


def bind(source: Path, target: Path) -> None:
    mount("--bind", str(source), str(target))


def absent_mount_points() -> list[str]:
    """Folders that must be made for a mount to lie on them, in the order in which to remove them."""
    absent: list[str] = []
    for name in OVER:
        path = Path(name)
        for folder in (path, *path.parents):
            if not folder.exists() and str(folder) not in absent:
                absent.append(str(folder))
    return sorted(absent, key=len, reverse=True)


def mount_all(settings: Settings) -> None:
    """Lay the node's folders over the machine's. Runs inside the namespaces."""
    mount("--make-rshared", "/")
    cgroups.lay_over(settings)
    mount("-t", "tmpfs", "-o", "mode=755,size=256m", "tmpfs", "/run")
    for name in ("lock", "node", "containerd"):
        Path("/run", name).mkdir(mode=0o755)
    for name in OVER:
        source = settings.data / "over" / name.strip("/").replace("/", "-")
        source.mkdir(parents=True, exist_ok=True)
        bind(source, Path(name))
    etcd = settings.data / "etcd"
    etcd.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", "mode=700,size=1g", "tmpfs", str(etcd))
    for name, value in SYSCTLS.items():
        file = settings.data / "sysctl" / name.replace("/", ".")
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{value}\n")
        bind(file, Path("/proc/sys", name))
    _name_resolution(settings)


def _name_resolution(settings: Settings) -> None:
    hosts = settings.conf / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n::1 localhost\n{NODE_IP} {NODE} {settings.host.partition(':')[0]}\n")
    resolv = settings.conf / "resolv.conf"
    search = f"svc.{DOMAIN} {DOMAIN}"
    resolv.write_text(f"nameserver {DNS_IP}\nsearch {search}\noptions ndots:3 timeout:1 attempts:2\n")
    bind(hosts, Path("/etc/hosts"))
    bind(resolv, Path("/etc/resolv.conf").resolve())
