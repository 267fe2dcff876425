"""A local cache of one selection of objects, kept current by list and watch.

After a gap (410, a restart of the API server, a broken connection) it lists again and reports what was deleted in the
meantime. It ends only by cancellation. Every other failure is logged, counted in `failures` and retried with
exponential, jittered backoff.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

import structlog

from berth.kube.client import Listing, Selection, WatchEvent
from berth.kube.errors import ForbiddenError, GoneError, KubeError, NotFoundError, UnavailableError
from berth.kube.resources import Manifest, ObjectKey, Resource, key_of

OnChange: TypeAlias = Callable[[Manifest | None, Manifest | None], None]
"""Called with (old, new): (None, new) for an added, (old, None) for a deleted object. Must not block."""

BACKOFF_FIRST: Final = 0.2  # seconds
BACKOFF_LIMIT: Final = 30.0  # seconds
UNAVAILABLE_BACKOFF_LIMIT: Final = 5.0  # seconds; a revocation during an outage must take effect soon after it
WARN_AFTER_FAILURES: Final = 3  # in a row
WATCH_SECONDS: Final = (240, 360)  # range of a watch's timeout, so that not all watches restart together

WATCH_SECONDS_AFTER_FAILURE: Final = 3
"""Timeout of the first watch after a failure. The API server sends a bookmark two seconds before the timeout of a
watch, otherwise once a minute. Until then it is unknown whether anything has changed."""

_log = structlog.get_logger(__name__)


class Source(Protocol):
    """Lists and watches objects (ListWatch of client-go)."""

    async def listing(self, selection: Selection) -> Listing:
        """A complete list."""
        ...

    def watch(
        self, selection: Selection, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[WatchEvent, None]:
        """The events since a resource version."""
        ...


class Reflector:
    """Caches the objects of one selection. `run` it as a task and wait for `synced`.

    `transform` shrinks an object before it is cached and reported; it keeps the metadata. `index` returns the value
    that `by_index` finds an object by, by default its namespace.
    """

    def __init__(
        self,
        client: Source,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        on_change: OnChange | None = None,
        *,
        index: Callable[[Manifest], str] | None = None,
        transform: Callable[[Manifest], Manifest] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.selection = Selection(resource, namespace, label_selector, field_selector)
        self.synced = asyncio.Event()
        self.failures = 0  # in a row
        self.last_error: str | None = None
        self._client = client
        self._on_change = on_change
        self._sleep = sleep
        self._random = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._objects: dict[ObjectKey, Manifest] = {}
        self._index = index or _namespace
        self._transform = transform or _unchanged
        self._indexed: dict[str, dict[ObjectKey, Manifest]] = {}
        self._reported: dict[ObjectKey, Manifest] = {}  # by the callback; own writes may have put the cache ahead
        self._own_writes: set[tuple[ObjectKey, int]] = set()  # whose events have not arrived
        self._resource_version = ""
        self._expired = False  # the watch after the last list failed with 410
        self._latest_version = 0
        self._own_deletions: set[ObjectKey] = set()  # whose events have not arrived
        self._deletions_confirmed = asyncio.Event()

    @property
    def objects(self) -> Mapping[ObjectKey, Manifest]:
        """The cached objects by (namespace or "", name). A live view."""
        return MappingProxyType(self._objects)

    @property
    def latest_version(self) -> int | None:
        """The resource version that another watch must have reached to include every change in this cache.

        0: nothing has changed. None: an own deletion is not confirmed, so its version is unknown. Deletions before the
        first list do not count.
        """
        return None if self._own_deletions else self._latest_version

    async def deletions_confirmed(self) -> None:
        """Wait for the events of all own deletions, so that `latest_version` is known."""
        while self._own_deletions:
            await self._deletions_confirmed.wait()

    def by_index(self, value: str) -> Mapping[ObjectKey, Manifest]:
        """The cached objects with this index value."""
        return MappingProxyType(self._indexed.get(value, {}))

    def observe(self, written: Manifest) -> None:
        """Put the response to an own write into the cache, so that the next reconcile does not write it again.

        The callback is not called for it. A change of another client that the response includes has its own event, and
        is reported with that.
        """
        key = key_of(written)
        self._latest_version = max(self._latest_version, _version(written))
        reported = self._reported.get(key)
        if reported is None or _version(reported) < _version(written):
            self._own_writes.add((key, _version(written)))
        if not _is_newer(self._objects.get(key), written):
            self._store(key, self._trimmed(written))

    def forget(self, key: ObjectKey, uid: str) -> None:
        """Remove an object after an own deletion, unless there is already another of that name."""
        present = self._objects.get(key)
        if present is not None and present["metadata"]["uid"] == uid:
            self._own_deletions.add(key)
            self._deletions_confirmed.clear()
            self._store(key, None)

    async def run(self) -> None:
        """List and watch, forever. Ends only by cancellation."""
        while True:
            try:
                if not self._resource_version:
                    self._replace(await self._client.listing(self.selection))
                await self._watch()
                self.failures, self.last_error = 0, None
            except GoneError as error:
                self._resource_version = ""
                if self._expired:
                    await self._back_off(error)
                self._expired = True  # list at once after the first 410
            except Exception as error:
                await self._back_off(error)

    async def _watch(self) -> None:
        seconds = WATCH_SECONDS_AFTER_FAILURE if self.failures else self._random.randint(*WATCH_SECONDS)
        async with aclosing(self._client.watch(self.selection, self._resource_version, seconds)) as events:
            async for event in events:
                self._handle(event)
                self.failures, self.last_error, self._expired = 0, None, False

    async def _back_off(self, error: Exception) -> None:
        """Log a failure, with a traceback unless it is an error of the API, and wait before the next try."""
        self.failures += 1
        self.last_error = str(error)
        if isinstance(error, NotFoundError | ForbiddenError) or not isinstance(error, KubeError):
            self._resource_version = ""  # the resource, the right or the cache may have changed: list again
        level = _log.exception
        if isinstance(error, KubeError):  # a single failure is normal: the API server restarts, or a right is new
            level = _log.warning if self.failures >= WARN_AFTER_FAILURES else _log.info
        level("watch interrupted", resource=self.selection.resource.plural, namespace=self.selection.namespace,
              error=self.last_error, failures=self.failures)  # fmt: skip
        longest = UNAVAILABLE_BACKOFF_LIMIT if isinstance(error, UnavailableError) else BACKOFF_LIMIT
        limit = min(longest, BACKOFF_FIRST * 2 ** min(self.failures - 1, 16))
        await self._sleep(limit * self._random.uniform(0.5, 1.0))

    def _replace(self, listing: Listing) -> None:
        """Replace the cache by a complete list. Objects that it lacks are deleted, even without an event."""
        listed = {key_of(item): self._trimmed(item) for item in listing.items}
        list_version = int(listing.resource_version)
        self._own_writes = {(key, version) for key, version in self._own_writes if version > list_version}
        deleted = [key for key in {**self._objects, **self._reported} if key not in listed]
        # The version of a deletion without an event is unknown, but not greater than that of this list.
        has_deletions = deleted or self._own_deletions
        versions = [list_version] if has_deletions else [_version(item) for item in listed.values()]
        self._latest_version = max(self._latest_version, *versions, 0)
        for key in tuple(self._own_deletions):
            self._confirm_deletion(key)
        for key in deleted:
            present = self._objects.get(key)
            if present is not None and _version(present) <= list_version:  # else it was written after this list
                self._store(key, None)
            self._report(key, None)
        for key, item in listed.items():
            self._update(key, item, item)
            self._report(key, item)
        self._resource_version = listing.resource_version
        self.synced.set()

    def _handle(self, event: WatchEvent) -> None:
        if event.type != "BOOKMARK":
            key = key_of(event.object)
            new = None if event.type == "DELETED" else self._trimmed(event.object)
            self._latest_version = max(self._latest_version, _version(event.object))
            self._update(key, new, event.object)
            self._report(key, new)
        self._resource_version = event.object["metadata"]["resourceVersion"]

    def _update(self, key: ObjectKey, new: Manifest | None, received: Manifest) -> None:
        """Update the cache, unless an own write has put it ahead of what was received."""
        if not _is_newer(self._objects.get(key), received):
            self._store(key, new)

    def _report(self, key: ObjectKey, new: Manifest | None) -> None:
        old = self._reported.get(key)
        if new is None:
            self._reported.pop(key, None)
            self._confirm_deletion(key)
        else:
            self._reported[key] = new
            if (key, _version(new)) in self._own_writes:
                self._own_writes.discard((key, _version(new)))
                return
        if self._on_change is None or _same(old, new):
            return
        try:
            self._on_change(old, new)
        except Exception:
            _log.exception("on_change callback failed", resource=self.selection.resource.plural, object=key)

    def _trimmed(self, item: Manifest) -> Manifest:
        """An object without managedFields, which are half of its size and never read, and transformed."""
        metadata = {name: value for name, value in item["metadata"].items() if name != "managedFields"}
        return self._transform({**item, "metadata": metadata})

    def _confirm_deletion(self, key: ObjectKey) -> None:
        self._own_deletions.discard(key)
        if not self._own_deletions:
            self._deletions_confirmed.set()

    def _store(self, key: ObjectKey, new: Manifest | None) -> None:
        present = self._objects.pop(key, None)
        if present is not None:
            value = self._index(present)
            self._indexed[value].pop(key)
            if not self._indexed[value]:
                del self._indexed[value]
        if new is not None:
            self._objects[key] = new
            self._indexed.setdefault(self._index(new), {})[key] = new


def _namespace(item: Manifest) -> str:
    return key_of(item)[0]


def _unchanged(item: Manifest) -> Manifest:
    return item


def _version(item: Manifest) -> int:
    """Resource versions are comparable decimal numbers (apimachinery `util/resourceversion`, Kubernetes 1.35)."""
    return int(item["metadata"]["resourceVersion"])


def _is_newer(present: Manifest | None, other: Manifest) -> bool:
    """Whether the present object is newer than the other one."""
    return present is not None and _version(present) > _version(other)


def _same(old: Manifest | None, new: Manifest | None) -> bool:
    if old is None or new is None:
        return old is new
    mine, theirs = old["metadata"], new["metadata"]
    return (mine["uid"], mine["resourceVersion"]) == (theirs["uid"], theirs["resourceVersion"])
