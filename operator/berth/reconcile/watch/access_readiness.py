"""Whether access serves: how projects hear that its last ready pod went, or that there is one again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from berth.kube.resources import Manifest

UNREADY_GRACE: Final = 30.0  # seconds without a ready pod after which every project is looked at; a restart takes less


class AccessReadiness:
    """Enqueues every project when no pod of access was ready for `UNREADY_GRACE`, and when one is ready again.

    `wake` wakes all projects; `later` calls something after so many seconds.
    """

    def __init__(self, wake: Callable[[], None], later: Callable[[float, Callable[[], None]], Any]) -> None:
        self._wake = wake
        self._later = later
        self._ready: set[str] = set()

    def changed(self, old: Manifest | None, new: Manifest | None) -> None:
        """Take the change of one pod."""
        before = bool(self._ready)
        for pod in filter(None, (old, new)):
            self._ready.discard(pod["metadata"]["uid"])
        if new is not None and serves((new,)):
            self._ready.add(new["metadata"]["uid"])
        if self._ready and not before:
            self._wake()
        elif before and not self._ready:
            self._later(UNREADY_GRACE, self._look)

    def _look(self) -> None:
        if not self._ready:
            self._wake()


def serves(pods: Iterable[Manifest]) -> bool:
    """Whether one of these pods takes requests."""
    return any(
        found["type"] == "Ready" and found["status"] == "True"
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        for found in (pod.get("status") or {}).get("conditions") or ()
    )
