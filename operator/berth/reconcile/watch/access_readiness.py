"""Whether the access service has a ready pod, and a reconcile of every project when that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from berth.kube.resources import Manifest

UNREADY_GRACE: Final = 30.0  # seconds without a ready pod before projects are enqueued; a restart takes less


class AccessReadiness:
    """Enqueues every project when no pod of access was ready for `UNREADY_GRACE`, and when one is ready again.

    `enqueue` enqueues all projects; `later` is `call_later` of the event loop.
    """

    def __init__(self, enqueue: Callable[[], None], later: Callable[[float, Callable[[], None]], Any]) -> None:
        self._enqueue = enqueue
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
            self._enqueue()
        elif before and not self._ready:
            self._later(UNREADY_GRACE, self._check)

    def _check(self) -> None:
        if not self._ready:
            self._enqueue()


def serves(pods: Iterable[Manifest]) -> bool:
    """Whether one of these pods is ready and stays."""
    return any(is_ready(pod) for pod in pods if "deletionTimestamp" not in pod["metadata"])


def is_ready(pod: Manifest) -> bool:
    """Whether the pod has the condition Ready."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)
