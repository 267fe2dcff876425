"""The loop: collections in memory, and every task again whenever one of them changed."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence

from node.agent.cache import Cache
from node.agent.loadbalancers import assign_addresses
from node.agent.policies import Enforcer, World
from node.agent.volumes import provision
from node.api import Api
from node.settings import Settings

SETTLE = 0.03
RETRY = 1.0
PATHS = {
    "services": "/api/v1/services",
    "claims": "/api/v1/persistentvolumeclaims",
    "volumes": "/api/v1/persistentvolumes",
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
}

Task = Callable[[], None]


def run(settings: Settings) -> None:
    """Do the node's chores until the process is ended."""
    (settings.state / "agent-ready").unlink(missing_ok=True)
    changed = threading.Event()
    caches = {name: Cache(Api(settings, "node-agent"), path, changed) for name, path in PATHS.items()}
    for cache in caches.values():
        cache.start()
    for cache in caches.values():
        cache.filled.wait()
    tasks = _tasks(settings, caches)
    while True:
        changed.clear()
        if _all(tasks):
            (settings.state / "agent-ready").touch()
            changed.wait()
        else:
            changed.wait(RETRY)
        time.sleep(SETTLE)


def _tasks(settings: Settings, caches: dict[str, Cache]) -> Sequence[Task]:
    api = Api(settings, "node-agent")
    enforcer = Enforcer()
    folder = settings.data / "volumes"
    folder.mkdir(parents=True, exist_ok=True)

    def policies() -> None:
        parts = (caches[name].objects() for name in ("policies", "pods", "namespaces"))
        enforcer.enforce(World(*parts))

    return (
        policies,
        lambda: assign_addresses(api, caches["services"]),
        lambda: provision(api, caches["claims"], caches["volumes"], folder),
    )


def _all(tasks: Sequence[Task]) -> bool:
    """Do every task; whether all went well. One that fails is logged and does not stop the others."""
    well = True
    for task in tasks:
        try:
            task()
        except Exception:
            traceback.print_exc(file=sys.stderr)
            well = False
    return well
