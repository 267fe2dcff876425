"""Reads everything that a registry holds.

A walk has two parts, because the first shows whether the second can be trusted: a registry whose volume is lost
responds to every request as if it were empty.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from berth.api import names
from berth.registry.client import ManifestHead, RegistryClient

_CONCURRENCY: Final = 8  # requests to one registry at the same time
_PATH = re.compile(names.REPOSITORY_PATTERN)


@dataclass(frozen=True, slots=True)
class Found:
    """A requested tag or digest and its manifest; `head` is None when it does not exist."""

    reference: str
    head: ManifestHead | None


async def survey(client: RegistryClient, project: str) -> Mapping[str, Sequence[str]]:
    """The tags of every repository of a project, by its path below the project."""
    found: dict[str, Sequence[str]] = {}
    async for name in client.repositories(project):
        path = name.removeprefix(f"{project}/")
        if _PATH.match(path):
            found[path] = [tag async for tag in client.tags(name)]
    return found


async def inspect(client: RegistryClient, name: str, references: Sequence[str]) -> AsyncIterator[Found]:
    """The manifests of tags and digests of a repository (full name), in the order of `references`."""
    for start in range(0, len(references), _CONCURRENCY):
        batch = references[start : start + _CONCURRENCY]
        heads = await asyncio.gather(*(client.head_manifest(name, reference) for reference in batch))
        for reference, head in zip(batch, heads, strict=True):
            yield Found(reference, head)
