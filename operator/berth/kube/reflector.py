"""A local copy of one selection of objects, kept true by list and watch.

It differs from a bare watch in what it never misses: after a gap (410, a restart of the API server, a broken link)
it lists again and reports what was deleted meanwhile. It ends only by cancellation: every other failure is logged,
counted in `failures` and tried again with growing, jittered pauses.
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
"""Called with (old, new): (None, new) appeared, (old, new) changed, (old, None) is gone. Must not block."""

BACKOFF_FIRST: Final = 0.2  # seconds
BACKOFF_LIMIT: Final = 30.0  # seconds
AWAY_LIMIT: Final = 5.0  # seconds; what was revoked while the API server was away must count soon after its return
TOLD_AS_WARNING: Final = 3  # failures in a row
WATCH_SECONDS: Final = (240, 360)  # a watch ends by itself after so long; spread, so that not all restart together

FIRST_AFTER_FAILURE: Final = 3
"""Seconds after which the first watch after a failure ends. Two seconds before the end of a watch the API server tells
how far it has come, otherwise once a minute; until then nobody knows whether anything changed."""

_log = structlog.get_logger(__name__)


class Source(Protocol):
    """What a reflector needs of the client."""

    async def listing(self, selection: Selection) -> Listing:
        """A complete list."""
        ...

    def watch(
        self, selection: Selection, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[WatchEvent, None]:
        """The changes since."""
        ...


class Reflector:
    """Holds the objects of one selection; `run` it as a task and wait for `synced` before trusting it.

    `keep` says what of an object stays, here and for the callback; its metadata has to.
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
        group: Callable[[Manifest], str] | None = None,
        keep: Callable[[Manifest], Manifest] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.selection = Selection(resource, namespace, label_selector, field_selector)
        self.synced = asyncio.Event()
        self.failures = 0  # in a row; 0 while all is well
        self.last_error: str | None = None
        self._client = client
        self._on_change = on_change
        self._sleep = sleep
        self._random = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._objects: dict[ObjectKey, Manifest] = {}
        self._group = group or _namespace
        self._kept = keep or _whole
        self._groups: dict[str, dict[ObjectKey, Manifest]] = {}
        self._told: dict[ObjectKey, Manifest] = {}  # what the callback knows; the view may be ahead by own writes
        self._own: set[tuple[ObjectKey, int]] = set()  # own writes whose events are still to come
        self._version = ""
        self._lost = False  # the last list could not be followed
        self._newest = 0
        self._deleting: set[ObjectKey] = set()  # own deletions whose events are still to come
        self._all_told = asyncio.Event()  # of those

    @property
    def objects(self) -> Mapping[ObjectKey, Manifest]:
        """The present objects by (namespace or "", name), as far as they are kept. A live view: do not change it."""
        return MappingProxyType(self._objects)

    @property
    def newest(self) -> int | None:
        """The resource version that another watch must have reached to know every change that is known here.

        0: nothing changed that it could lack. None: a deletion of one's own has not been told by the API server yet,
        so its version is not known. Deletions from before the first list count for nothing.
        """
        return None if self._deleting else self._newest

    async def deletions_told(self) -> None:
        """Wait until the API server has told every deletion of one's own, so that `newest` is known."""
        while self._deleting:
            await self._all_told.wait()

    def grouped(self, word: str) -> Mapping[ObjectKey, Manifest]:
        """The present objects of one group, found without looking at the others.

        What groups them is said at construction; by default it is the namespace.
        """
        return MappingProxyType(self._groups.get(word, {}))

    def observe(self, written: Manifest) -> None:
        """Take the answer to one's own write at once, so that the next look does not write it again.

        The callback hears of everybody's changes but this one: whoever wrote knows. A change by somebody else that
        the answer already contains has an event of its own, and is told when that comes.
        """
        key = key_of(written)
        self._newest = max(self._newest, _version(written))
        told = self._told.get(key)
        if told is None or _version(told) < _version(written):
            self._own.add((key, _version(written)))
        if not _newer(self._objects.get(key), written):
            self._store(key, self._lean(written))

    def forget(self, key: ObjectKey, uid: str) -> None:
        """Drop an object that one has deleted oneself, unless another of that name stands there already."""
        present = self._objects.get(key)
        if present is not None and present["metadata"]["uid"] == uid:
            self._deleting.add(key)
            self._all_told.clear()
            self._store(key, None)

    async def run(self) -> None:
        """List, watch, and start over for ever. Ends by cancellation alone."""
        while True:
            try:
                if not self._version:
                    self._replace(await self._client.listing(self.selection))
                await self._follow()
                self.failures, self.last_error = 0, None
            except GoneError as error:
                self._version = ""
                if self._lost:
                    await self._pause(error)
                self._lost = True  # once, a list follows at once: the server is there again
            except Exception as error:
                await self._pause(error)

    async def _follow(self) -> None:
        seconds = FIRST_AFTER_FAILURE if self.failures else self._random.randint(*WATCH_SECONDS)
        async with aclosing(self._client.watch(self.selection, self._version, seconds)) as events:
            async for event in events:
                self._take(event)
                self.failures, self.last_error, self._lost = 0, None, False

    async def _pause(self, error: Exception) -> None:
        """Wait before the next try: known failures of the API quietly, anything else with its traceback."""
        self.failures += 1
        self.last_error = str(error)
        if isinstance(error, NotFoundError | ForbiddenError) or not isinstance(error, KubeError):
            self._version = ""  # the resource, the right or our view of it changed: only a list tells
        level = _log.exception
        if isinstance(error, KubeError):  # one failure is an API server that restarts, or a right that is still new
            level = _log.warning if self.failures >= TOLD_AS_WARNING else _log.info
        level("watch interrupted", resource=self.selection.resource.plural, namespace=self.selection.namespace,
              error=self.last_error, failures=self.failures)  # fmt: skip
        longest = AWAY_LIMIT if isinstance(error, UnavailableError) else BACKOFF_LIMIT
        limit = min(longest, BACKOFF_FIRST * 2 ** min(self.failures - 1, 16))
        await self._sleep(limit * self._random.uniform(0.5, 1.0))

    def _replace(self, listing: Listing) -> None:
        """Take a complete list: what it lacks is gone, whether or not an event said so."""
        fresh = {key_of(item): self._lean(item) for item in listing.items}
        known = int(listing.resource_version)
        self._own = {(key, version) for key, version in self._own if version > known}
        gone = [key for key in {**self._objects, **self._told} if key not in fresh]
        # What is gone without an event went at a version that nobody told, but not after this list.
        seen = [known] if gone or self._deleting else [_version(item) for item in fresh.values()]
        self._newest = max(self._newest, *seen, 0)
        for key in tuple(self._deleting):
            self._deletion_told(key)
        for key in gone:
            present = self._objects.get(key)
            if present is not None and _version(present) <= known:  # else it was written after this list was made
                self._store(key, None)
            self._tell(key, None)
        for key, item in fresh.items():
            self._keep(key, item, item)
            self._tell(key, item)
        self._version = listing.resource_version
        self.synced.set()

    def _take(self, event: WatchEvent) -> None:
        if event.type != "BOOKMARK":
            key = key_of(event.object)
            new = None if event.type == "DELETED" else self._lean(event.object)
            self._newest = max(self._newest, _version(event.object))
            self._keep(key, new, event.object)
            self._tell(key, new)
        self._version = event.object["metadata"]["resourceVersion"]

    def _keep(self, key: ObjectKey, new: Manifest | None, said: Manifest) -> None:
        """Let the view follow, unless an own write took it further already."""
        if not _newer(self._objects.get(key), said):
            self._store(key, new)

    def _tell(self, key: ObjectKey, new: Manifest | None) -> None:
        old = self._told.get(key)
        if new is None:
            self._told.pop(key, None)
            self._deletion_told(key)
        else:
            self._told[key] = new
            if (key, _version(new)) in self._own:
                self._own.discard((key, _version(new)))
                return
        if self._on_change is None or _same(old, new):
            return
        try:
            self._on_change(old, new)
        except Exception:
            _log.exception("a callback on a change failed", resource=self.selection.resource.plural, object=key)

    def _lean(self, item: Manifest) -> Manifest:
        """What stays of an object: never managedFields, which nobody here reads and which are half of its size."""
        metadata = {name: value for name, value in item["metadata"].items() if name != "managedFields"}
        return self._kept({**item, "metadata": metadata})

    def _deletion_told(self, key: ObjectKey) -> None:
        self._deleting.discard(key)
        if not self._deleting:
            self._all_told.set()

    def _store(self, key: ObjectKey, new: Manifest | None) -> None:
        present = self._objects.pop(key, None)
        if present is not None:
            word = self._group(present)
            self._groups[word].pop(key)
            if not self._groups[word]:
                del self._groups[word]
        if new is not None:
            self._objects[key] = new
            self._groups.setdefault(self._group(new), {})[key] = new


def _namespace(item: Manifest) -> str:
    return key_of(item)[0]


def _whole(item: Manifest) -> Manifest:
    return item


def _version(item: Manifest) -> int:
    """Resource versions are comparable decimal numbers (apimachinery `util/resourceversion`, Kubernetes 1.35)."""
    return int(item["metadata"]["resourceVersion"])


def _newer(present: Manifest | None, other: Manifest) -> bool:
    """Whether what is here is newer than what comes."""
    return present is not None and _version(present) > _version(other)


def _same(old: Manifest | None, new: Manifest | None) -> bool:
    if old is None or new is None:
        return old is new
    mine, theirs = old["metadata"], new["metadata"]
    return (mine["uid"], mine["resourceVersion"]) == (theirs["uid"], theirs["resourceVersion"])
