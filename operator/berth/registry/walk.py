"""Walking a registry to see what it really holds. Reads only.

A walk has two parts, because the first says whether the second can be trusted: a registry whose volume is gone answers
every question, and says that there is nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from berth.api import names
from berth.registry.client import ManifestHead, RegistryClient

_AT_ONCE: Final = 8  # questions that one registry is asked at the same time
_PATH = re.compile(names.REPOSITORY_PATTERN)


@dataclass(frozen=True, slots=True)
class Found:
    """A tag or digest that was asked for, and what it stands for; `head` is None when it is not there."""

    reference: str
    head: ManifestHead | None


async def survey(client: RegistryClient, project: str) -> Mapping[str, Sequence[str]]:
    """Every repository of a project, by its path below the project, with the names of its tags."""
    found: dict[str, Sequence[str]] = {}
    async for name in client.repositories(project):
        path = name.removeprefix(f"{project}/")
        if _PATH.match(path):
            found[path] = [tag async for tag in client.tags(name)]
    return found


async def inspect(client: RegistryClient, name: str, references: Sequence[str]) -> AsyncIterator[Found]:
    """What each tag or digest of a repository (full name) stands for, in the order in which they were given."""
    for start in range(0, len(references), _AT_ONCE):
        batch = references[start : start + _AT_ONCE]
        heads = await asyncio.gather(*(client.head_manifest(name, reference) for reference in batch))
        for reference, head in zip(batch, heads, strict=True):
            yield Found(reference, head)
