"""Desired children of a `DockerRepository`."""

from __future__ import annotations

from typing import Any

from berth.api.repository import DockerRepository
from berth.desired.inputs import RepositoryInputs
from berth.desired.sharing.access_policy import build_repository_policy


def desired_repository(repository: DockerRepository, inputs: RepositoryInputs) -> tuple[dict[str, Any], ...]:
    """The children of a repository: its `AccessPolicy` while it has local sharing, else none.

    They carry the label `berth.dev/repository`, so that pruning the project's children skips them.
    """
    policy = build_repository_policy(repository, inputs)
    return () if policy is None else (policy,)
