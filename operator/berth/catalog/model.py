"""The catalog's data: writes, tags, moves and views. All times are aware (UTC); all sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class WriteKind(StrEnum):
    """Effect of a write on its reference."""

    PUSH = "push"
    DELETE = "delete"


class WriteState(StrEnum):
    """State of a write. `OPEN`: announced, result unknown."""

    OPEN = "open"
    COMMITTED = "committed"
    ABANDONED = "abandoned"


class Cause(StrEnum):
    """Cause of a tag move. `WALK`: found by a registry walk, without an announced write."""

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
    """A write that `access` announces. `reference` is a tag or a digest; the digest of a delete may be unknown."""

    kind: WriteKind
    repository: RepositoryKey
    reference: str
    digest: str | None
    media_type: str
    by: str
    client: str = ""

    @property
    def tag(self) -> str | None:
        """The written tag; None when the reference is a digest."""
        return None if is_digest(self.reference) else self.reference


@dataclass(frozen=True, slots=True)
class Write:
    """A recorded intent and its state."""

    id: str
    intent: Intent
    created_at: datetime
    state: WriteState
    doubtful: bool = False  # overlapped with another write of the same reference: read the result from the registry


@dataclass(frozen=True, slots=True)
class Tag:
    """A present tag. `media_type` and `size` are those of its manifest; the size of an index includes its children."""

    name: str
    digest: str
    media_type: str
    artifact_type: str | None
    size: int
    pushed_at: datetime
    pushed_by: str


@dataclass(frozen=True, slots=True)
class TagMove:
    """One move of a tag: created (`from_digest` None), moved, or deleted (`to_digest` None). `id` grows with time."""

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
    """A manifest with a `subject`. `size` is that of the manifest itself (OCI descriptor)."""

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
    """Result of the latest registry walk. `in_sync` is None until the first one."""

    in_sync: bool | None = None
    reason: str = ""
    message: str = ""
    walked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RepositoryView:
    """Everything that the status of a repository's object shows."""

    key: RepositoryKey
    tags: tuple[Tag, ...]  # the newest, newest first
    tag_count: int
    digest_count: int
    last_push: LastPush | None
    sync: Sync
    object_due: bool  # a push was recorded and the repository's object was not created since


def is_digest(reference: str) -> bool:
    """Whether a reference is a digest; a tag never holds a colon (OCI distribution spec 1.1)."""
    return ":" in reference
