"""The last known policy on disk, so that a restarted process serves pulls while the API server is away.

One file: a line with the SHA-256 of what follows and the time of the last word of the API server, then the policy in
JSON. It is replaced as a whole, readable by this process alone (password hashes stand in it, no password and no token
does), and read back only if the sum fits and the form is the one of this version; otherwise there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import TypeAdapter, ValidationError

from berth.authz.model import AccessTokenRecord, ProjectPolicy, Snapshot, Subject, User

FORMAT: Final = 2
"""Grows when a file of an older version can no longer be read."""
FILE_NAME: Final = "policy.json"
PAUSE: Final = 5.0  # seconds between two savings of a policy that keeps changing
HEARD_STEP: Final = 30.0  # seconds by which the time may be newer than what the file says


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy, the cluster's public keys, and when the API server last said that it is so (epoch seconds)."""

    snapshot: Snapshot
    heard: float
    cluster_keys: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Document:
    """A snapshot without keys that are no strings, which JSON does not have."""

    generation: int
    projects: dict[str, ProjectPolicy]
    users: dict[str, User]
    tokens: dict[str, AccessTokenRecord]
    teams_of: list[tuple[Subject, frozenset[str]]]
    aliases: list[tuple[Subject, frozenset[str]]]
    certifications: list[tuple[Subject, datetime | None]]
    cluster_keys: dict[str, Any]


_ADAPTER: Final = TypeAdapter(_Document)


class PolicyStore:
    """The file in `directory`, which has to exist."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME
        self._log = structlog.get_logger("berth.access.store")

    def load(self) -> StoredPolicy | None:
        """What was saved last; None when there is nothing, or nothing that can be trusted."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._log.warning("the stored policy could not be read", error=type(error).__name__)
            return None
        try:
            return _decoded(content)
        except (ValueError, KeyError, TypeError) as error:
            # The values stay out of the log: hashes are among them.
            self._log.warning("the stored policy is damaged or of another version", error=type(error).__name__)
            return None

    def save(self, policy: StoredPolicy) -> None:
        """Replace what was saved. Raises OSError; the former file is whole then."""
        content = _encoded(policy)
        descriptor, name = tempfile.mkstemp(prefix=".policy-", dir=self._directory)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as fresh:
                fresh.write(content)
                fresh.flush()
                os.fsync(fresh.fileno())
            Path(name).replace(self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise


class PolicyKeeper:
    """Saves the present policy when it has changed, and its time when that has moved on. `run` it as a task.

    `present` gives the policy, or None as long as there is none of the cluster's own.
    """

    def __init__(
        self,
        store: PolicyStore,
        present: Callable[[], StoredPolicy | None],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._present = present
        self._sleep = sleep
        self._saved: StoredPolicy | None = None
        self._log = structlog.get_logger("berth.access.store")

    async def run(self) -> None:
        """Look every few seconds, for ever. Ends by cancellation alone."""
        while True:
            await self.keep()
            await self._sleep(PAUSE)

    async def keep(self) -> None:
        """Save the present policy unless what is saved says the same."""
        present = self._present()
        if present is None or not self._differs(present):
            return
        try:
            await asyncio.to_thread(self._store.save, present)
        except OSError as error:
            self._log.warning("the policy could not be stored", error=f"{type(error).__name__}: {error.strerror}")
            return
        self._saved = present

    def _differs(self, present: StoredPolicy) -> bool:
        saved = self._saved
        return (
            saved is None
            or saved.snapshot.generation != present.snapshot.generation
            or saved.cluster_keys != present.cluster_keys
            or present.heard - saved.heard >= HEARD_STEP
        )


def _encoded(policy: StoredPolicy) -> bytes:
    snapshot = policy.snapshot
    body = _ADAPTER.dump_json(
        _Document(
            generation=snapshot.generation,
            projects=dict(snapshot.projects),
            users=dict(snapshot.users),
            tokens=dict(snapshot.tokens),
            teams_of=list(snapshot.teams_of.items()),
            aliases=list(snapshot.aliases.items()),
            certifications=list(snapshot.certifications.items()),
            cluster_keys=dict(policy.cluster_keys),
        )
    )
    head = {"format": FORMAT, "heard": policy.heard}
    return json.dumps({**head, "sha256": _sum(head, body)}).encode("ascii") + b"\n" + body


def _decoded(content: bytes) -> StoredPolicy:
    line, _, body = content.partition(b"\n")
    head = json.loads(line)
    if head.pop("sha256") != _sum(head, body) or head["format"] != FORMAT:
        raise ValueError("sum or format does not fit")
    try:
        document = _ADAPTER.validate_json(body)
    except ValidationError as error:
        raise ValueError("not the form of this version") from error
    snapshot = Snapshot(
        generation=document.generation,
        projects=document.projects,
        users=document.users,
        tokens=document.tokens,
        teams_of=dict(document.teams_of),
        aliases=dict(document.aliases),
        certifications=dict(document.certifications),
    )
    return StoredPolicy(snapshot, float(head["heard"]), document.cluster_keys)


def _sum(head: Mapping[str, Any], body: bytes) -> str:
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode("ascii") + b"\n")
    digest.update(body)
    return digest.hexdigest()
