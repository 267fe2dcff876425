"""Parts of the tests with an outage: a background action, and the restarts of containers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from e2e.suite.clients.stage import json_items
from e2e.suite.world import SYSTEM, Cluster, eventually

PAUSE_SECONDS = 0.02


@dataclass
class Doing:
    """An action that a thread repeats; `failures` says what went wrong and when."""

    done: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def meanwhile(act: Callable[[], object], pause: float = PAUSE_SECONDS) -> Iterator[Doing]:
    """Repeat an action in a thread during the block, with a pause between, and at least once."""
    doing, stop = Doing(), threading.Event()

    def go_on() -> None:
        while not stop.wait(pause):
            try:
                act()
                doing.done += 1
            except AssertionError as problem:
                doing.failures.append(f"{time.strftime('%X')} {problem}")

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        eventually(lambda: doing.done or doing.failures, "it was done once")
        yield doing
    finally:
        stop.set()
        thread.join()


def restarts(cluster: Cluster) -> dict[str, int]:
    """The restarts of each container of Berth."""
    listed = json_items(cluster.kubectl("get", "pods", f"--namespace={SYSTEM}", "--output=json").must().out)
    return {
        f"{pod['metadata']['name']}/{container['name']}": container["restartCount"]
        for pod in listed
        for container in pod["status"]["containerStatuses"]
    }
