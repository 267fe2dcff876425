"""What a second watch of Berth's own kinds tells, and when it is worth a pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from berth.kube.resources import Manifest, ObjectKey, Resource
from berth.reconcile.watch.keys import key_for
from berth.reconcile.workqueue import Key

PATIENCE: Final = 1.0  # seconds in which the caches hear of a change themselves, or get the answer to their own write


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """That an object of one of Berth's own kinds was changed, or is gone, as of a resource version."""

    resource: Resource
    object: ObjectKey
    version: int
    gone: bool = False

    @property
    def key(self) -> Key:
        """What is to be worked on."""
        return key_for(self.resource, self.object)

    def is_new_to(self, known: Manifest | None) -> bool:
        """Whether whoever knows `known` (None: no such object) has yet to hear of it.

        Versions are comparable numbers, also those of deletions.
        """
        if known is None:
            return not self.gone
        return int(known["metadata"]["resourceVersion"]) < self.version


class MissedEvents:
    """Wakes keys of whose change the caches have not heard after `PATIENCE`; all others were told, or are own writes.

    `live` looks into the caches; `later` calls something after so many seconds.
    """

    def __init__(
        self,
        live: Callable[[Resource, ObjectKey], Manifest | None],
        add: Callable[[Key], None],
        later: Callable[[float, Callable[[WatchEvent], None], WatchEvent], Any],
    ) -> None:
        self._live = live
        self._add = add
        self._later = later

    def add(self, news: WatchEvent) -> None:
        """Take one event. An own write's event may come before its answer, so it is judged a little later."""
        self._later(PATIENCE, self._judge, news)

    def _judge(self, news: WatchEvent) -> None:
        if news.is_new_to(self._live(news.resource, news.object)):
            self._add(news.key)
