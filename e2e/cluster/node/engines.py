"""Engines that only the tests need, inside the namespaces: dockerd with either image store, and BuildKit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from node.components import listens
from node.process import Component
from node.settings import Settings

DOCKER = "dockerd"
DOCKER_CLASSIC = "dockerd-classic"
BUILDKIT = "buildkitd"


def address(name: str) -> str:
    """The address at which clients reach an engine."""
    sockets = {
        DOCKER: "/run/docker.sock",
        DOCKER_CLASSIC: "/run/docker-classic.sock",
        BUILDKIT: "/run/buildkit/buildkitd.sock",
    }
    return f"unix://{sockets[name]}"


def _socket(name: str) -> Path:
    return Path(address(name).removeprefix("unix://"))


def engine(settings: Settings, name: str) -> Component:
    """The component of an engine's name."""
    _socket(name).unlink(missing_ok=True)
    if name == BUILDKIT:
        return _buildkitd(settings)
    return _dockerd(settings, name, classic=name == DOCKER_CLASSIC)


def _dockerd(settings: Settings, name: str, classic: bool) -> Component:
    command = [
        settings.program("dockerd"),
        f"--data-root={settings.data / name}",
        f"--exec-root=/run/{name}",
        f"--pidfile=/run/{name}.pid",
        f"--host={address(name)}",
        "--iptables=false",
        "--ip6tables=false",
        "--bridge=none",
        "--userland-proxy=false",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        "--feature=time-namespaces=false",
        f"--feature=containerd-snapshotter={str(not classic).lower()}",
    ]
    settings.program("containerd")
    return Component(name, command, lambda: listens(_socket(name)), limit=30)


def _buildkitd(settings: Settings) -> Component:
    settings.program("buildctl")
    config = settings.conf / "buildkitd.toml"
    config.write_text(f'[registry."{settings.host}"]\n  ca = [{json.dumps(str(settings.registry_ca))}]\n')
    command = [
        settings.program("buildkitd"),
        f"--config={config}",
        f"--addr={address(BUILDKIT)}",
        f"--root={settings.data / 'buildkit'}",
        "--oci-worker=true",
        "--containerd-worker=false",
        "--oci-worker-net=host",
        "--oci-worker-snapshotter=overlayfs",
        f"--oci-worker-binary={shutil.which('runc', path='/usr/sbin:/usr/bin') or 'runc'}",
    ]
    return Component(BUILDKIT, command, lambda: listens(_socket(BUILDKIT)), limit=30)
