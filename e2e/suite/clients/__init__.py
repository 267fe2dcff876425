"""The clients of the suite, one table. A further client is one class and one entry here."""

from __future__ import annotations

from e2e.suite.clients.buildah import Buildah
from e2e.suite.clients.buildkit import BuildKit
from e2e.suite.clients.buildx import Buildx
from e2e.suite.clients.client import Ability, Client, Copier, Login, Pusher
from e2e.suite.clients.containerd import Ctr
from e2e.suite.clients.cosign import Cosign
from e2e.suite.clients.crane import Crane
from e2e.suite.clients.docker import Docker
from e2e.suite.clients.helm import Helm
from e2e.suite.clients.kubelet import Kubelet
from e2e.suite.clients.oras import Oras
from e2e.suite.clients.podman import Podman
from e2e.suite.clients.regctl import Regctl
from e2e.suite.clients.skopeo import Skopeo

CLIENTS: tuple[Client, ...] = (
    Docker(classic=False),
    Docker(classic=True),
    BuildKit(),
    Buildx(),
    Ctr(),
    Kubelet(),
    Podman(),
    Buildah(),
    Skopeo(),
    Crane(),
    Regctl(),
    Helm(),
    Oras(),
    Cosign(),
)


PUSHERS: tuple[Pusher, ...] = tuple(client for client in CLIENTS if isinstance(client, Pusher))
COPIERS: tuple[Copier, ...] = tuple(client for client in CLIENTS if isinstance(client, Copier))
LOGINS: tuple[Login, ...] = tuple(client for client in CLIENTS if isinstance(client, Login))
SEEDER = Crane()
"""Pushes for the clients that cannot push."""


def able(ability: Ability) -> tuple[Client, ...]:
    """The clients that have an ability."""
    return tuple(client for client in CLIENTS if ability in client.abilities)
