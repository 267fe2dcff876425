"""What the catalog takes and gives, as frozen data. No I/O. All times are aware (UTC); all sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class WriteKind(StrEnum):
    """What a write does to its reference."""

    PUSH = "push"
    DELETE = "delete"


class WriteState(StrEnum):
    """Where a write stands. `OPEN`: announced, and nobody has said yet what the registry made of it."""

    OPEN = "open"
    COMMITTED = "committed"
    ABANDONED = "abandoned"


class Cause(StrEnum):
    """Why a tag moved. `WALK`: the registry was found so, and nobody had announced it."""

    PUSH = "push"
    DELETE = "delete"
    WALK = "walk"


@dataclass(frozen=True, slots=True, order=True)
class RepositoryKey:
    """One repository: its project and its path below the project."""

    project: str
    path: str

    @property
    def name(self) -> str:
        """The name that clients and the registry use: `genomics/tools/aligner`."""
        return f"{self.project}/{self.path}"


@dataclass(frozen=True, slots=True)
class Intent:
    """A write that `access` is about to make. `reference` is a tag or a digest; a delete may not know its digest."""

    kind: WriteKind
    repository: RepositoryKey
    reference: str
    digest: str | None
    media_type: str
    by: str
    client: str = ""

    @property
    def tag(self) -> str | None:
        """The tag that is written, or None when the reference is a digest."""
        return None if is_digest(self.reference) else self.reference


@dataclass(frozen=True, slots=True)
class Write:
    """An intent as the catalog keeps it."""

    id: str
    intent: Intent
    created_at: datetime
    state: WriteState
    doubtful: bool = False  # another write of the same reference ran at the same time; only the registry knows who won


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag that is present. `media_type` and `size` are those of what it points to; an index counts its children."""

    name: str
    digest: str
    media_type: str
    artifact_type: str | None
    size: int
    pushed_at: datetime
    pushed_by: str


@dataclass(frozen=True, slots=True)
class TagMove:
    """One move of a tag: appeared (`from_digest` None), moved, or went (`to_digest` None). `id` grows with time."""

    id: int
    tag: str
    at: datetime
    by: str
    client: str
    from_digest: str | None
    to_digest: str | None
    cause: Cause


@dataclass(frozen=True, slots=True)
class Referrer:
    """A manifest whose `subject` is another one. `size` is that of the manifest itself (OCI descriptor)."""

    media_type: str
    digest: str
    size: int
    artifact_type: str | None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LastPush:
    """The latest push; `tag` is None when the manifest was pushed by digest alone."""

    tag: str | None
    digest: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Sync:
    """What the latest healing walk found. `in_sync` is None until the first one."""

    in_sync: bool | None = None
    reason: str = ""
    message: str = ""
    walked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RepositoryView:
    """Everything that a repository's object shows."""

    key: RepositoryKey
    tags: tuple[Tag, ...]  # the newest, newest first
    tag_count: int
    digest_count: int
    last_push: LastPush | None
    sync: Sync
    object_due: bool  # a push was recorded that no object has shown yet


def is_digest(reference: str) -> bool:
    """Whether a reference is a digest; a tag never holds a colon (OCI distribution spec 1.1)."""
    return ":" in reference
