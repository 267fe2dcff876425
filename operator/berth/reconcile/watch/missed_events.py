"""A second watch of Berth's own kinds: enqueues what the first one missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from berth.kube.resources import Manifest, ObjectKey, Resource
from berth.reconcile.watch.keys import key_for
from berth.reconcile.workqueue import Key

GRACE_SECONDS: Final = 1.0  # until then the caches have the change, or the response to an own write


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """An object of one of Berth's own kinds changed, or is gone, at a resource version."""

    resource: Resource
    object: ObjectKey
    version: int
    gone: bool = False

    @property
    def key(self) -> Key:
        """The key of the object."""
        return key_for(self.resource, self.object)

    def is_new_to(self, cached: Manifest | None) -> bool:
        """Whether the event is newer than `cached` (None: no such object).

        Resource versions are comparable numbers, also those of deletions.
        """
        if cached is None:
            return not self.gone
        return int(cached["metadata"]["resourceVersion"]) < self.version


class MissedEvents:
    """Enqueues objects whose change is not in the caches after `GRACE_SECONDS`.

    `live` reads the caches, `add` enqueues, `later` is `call_later` of the event loop.
    """

    def __init__(
        self,
        live: Callable[[Resource, ObjectKey], Manifest | None],
        add: Callable[[Key], None],
        later: Callable[[float, Callable[[ObjectEvent], None], ObjectEvent], Any],
    ) -> None:
        self._live = live
        self._add = add
        self._later = later

    def add(self, event: ObjectEvent) -> None:
        """Take one event. The event of an own write may come before its response, so it is compared later."""
        self._later(GRACE_SECONDS, self._compare, event)

    def _compare(self, event: ObjectEvent) -> None:
        if event.is_new_to(self._live(event.resource, event.object)):
            self._add(event.key)
