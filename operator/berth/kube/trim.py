"""Transforms that shrink objects before they are cached. Pure.

Tags are nine tenths of a DockerRepository, and thousands of repositories are cached in each process. No process reads
tags from there; the catalog, which writes them, only compares them with what it wrote.
"""

from __future__ import annotations

import hashlib
import json

from berth.kube.resources import Manifest


def without_tags(repository: Manifest) -> Manifest:
    """A DockerRepository without the tags in its status."""
    status = repository.get("status")
    if not isinstance(status, dict) or "tags" not in status:
        return repository
    return {**repository, "status": {name: value for name, value in status.items() if name != "tags"}}


def with_tags_checksum(repository: Manifest) -> Manifest:
    """A DockerRepository with a checksum in place of the tags in its status. Idempotent."""
    status = repository.get("status")
    if not isinstance(status, dict) or isinstance(status.get("tags"), str | None):
        return repository
    text = json.dumps(status["tags"], sort_keys=True, separators=(",", ":"))
    return {**repository, "status": {**status, "tags": hashlib.sha256(text.encode()).hexdigest()}}
