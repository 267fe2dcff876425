"""The last known policy on disk, so that a restarted process serves pulls while the API server is unavailable.

One file: a line with the SHA-256 of the rest and the time of the last event, then the policy in JSON. It is replaced
atomically and readable by this process alone: it holds password hashes, but no password and no token. It is loaded
only when its checksum and its format match.
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

FORMAT: Final = 3
"""Version of the file. A file of another version is ignored."""
FILE_NAME: Final = "policy.json"
SAVE_INTERVAL: Final = 5.0  # seconds between two writes of a policy that keeps changing
TIME_STEP: Final = 30.0  # seconds by which the time of the last event may be newer than the one in the file


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy, the time of its last event (seconds since the epoch), and the cluster's public keys."""

    snapshot: Snapshot
    last_event_at: float
    cluster_keys: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Document:
    """A snapshot in JSON: mappings whose keys are no strings become lists of pairs."""

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
    """The policy file in `directory`, which must exist."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME
        self._log = structlog.get_logger("berth.snapshot.store")

    def load(self) -> StoredPolicy | None:
        """The policy that was saved last; None when there is no file, or no valid one."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._log.warning("cannot read the stored policy", error=type(error).__name__)
            return None
        try:
            return _decoded(content)
        except (ValueError, KeyError, TypeError) as error:
            # The error's text stays out of the log, because it may contain password hashes.
            self._log.warning("stored policy is damaged or of another version", error=type(error).__name__)
            return None

    def save(self, policy: StoredPolicy) -> None:
        """Replace the file. Raises OSError, and then the former file is intact."""
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


class PolicySaver:
    """Saves the present policy when it or its time has changed. `run` it as a task.

    `present` returns the policy, or None until one has been read from the cluster.
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
        self._log = structlog.get_logger("berth.snapshot.store")

    async def run(self) -> None:
        """Save every few seconds, forever. Ends only by cancellation."""
        while True:
            await self.save_if_changed()
            await self._sleep(SAVE_INTERVAL)

    async def save_if_changed(self) -> None:
        """Save the present policy unless the saved one is equal."""
        present = self._present()
        if present is None or not self._differs(present):
            return
        try:
            await asyncio.to_thread(self._store.save, present)
        except OSError as error:
            self._log.warning("cannot store the policy", error=f"{type(error).__name__}: {error.strerror}")
            return
        self._saved = present

    def _differs(self, present: StoredPolicy) -> bool:
        saved = self._saved
        return (
            saved is None
            or saved.snapshot.generation != present.snapshot.generation
            or saved.cluster_keys != present.cluster_keys
            or present.last_event_at - saved.last_event_at >= TIME_STEP
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
    head = {"format": FORMAT, "lastEventAt": policy.last_event_at}
    return json.dumps({**head, "sha256": _checksum(head, body)}).encode("ascii") + b"\n" + body


def _decoded(content: bytes) -> StoredPolicy:
    line, _, body = content.partition(b"\n")
    head = json.loads(line)
    if head.pop("sha256") != _checksum(head, body) or head["format"] != FORMAT:
        raise ValueError("checksum or format does not match")
    try:
        document = _ADAPTER.validate_json(body)
    except ValidationError as error:
        raise ValueError("document does not match this version") from error
    snapshot = Snapshot(
        generation=document.generation,
        projects=document.projects,
        users=document.users,
        tokens=document.tokens,
        teams_of=dict(document.teams_of),
        aliases=dict(document.aliases),
        certifications=dict(document.certifications),
    )
    return StoredPolicy(snapshot, float(head["lastEventAt"]), document.cluster_keys)


def _checksum(head: Mapping[str, Any], body: bytes) -> str:
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode("ascii") + b"\n")
    digest.update(body)
    return digest.hexdigest()
