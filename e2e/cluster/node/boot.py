"""The boot, step by step, inside the namespaces; each step says how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from node import configs, images, manifests, mounts, network, pki, trusting
from node.api import Api
from node.components import CORE, component
from node.process import await_ready, start, wait_until
from node.settings import Settings

DNS_LIMIT = 60.0


def say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def _step(name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    say(f"  {time.monotonic() - started:5.1f} s  {name}")


def boot(settings: Settings) -> None:
    """Bring the node from nothing to ready; ClusterError says which part failed."""
    with _step("mounts, network"):
        configs.write_all(settings)
        mounts.mount_all(settings)
        network.set_up()
        trusting.prepare(settings)
    with _step("keys and certificates"):
        pki.create(settings)
    with ThreadPoolExecutor() as pool:
        _start(settings, "etcd", "kube-apiserver", "containerd")
        imported = pool.submit(_images, settings)
        with _step("etcd, kube-apiserver"):
            _await(settings, "etcd", "kube-apiserver")
        _start(settings, *CORE)
        with _step("first objects"):
            _create_objects(settings)
        with _step("kubelet: node Ready"):
            _await(settings, "kubelet")
        imported.result()
    with _step("controllers, scheduler, kube-proxy, node agent"):
        _await(settings, *CORE)
    with _step("CoreDNS"):
        wait_until("CoreDNS is not ready", _dns_ready(settings), DNS_LIMIT)


def _start(settings: Settings, *names: str) -> None:
    for name in names:
        start(settings, component(settings, name))


def _await(settings: Settings, *names: str) -> None:
    for name in names:
        await_ready(settings, component(settings, name))


def _images(settings: Settings) -> None:
    archives = [
        images.static_image(settings, configs.PAUSE_IMAGE, "pause"),
        images.static_image(settings, manifests.COREDNS_IMAGE, "coredns"),
    ]
    await_ready(settings, component(settings, "containerd"))
    for archive in archives:
        images.import_archive(settings, archive)


def _create_objects(settings: Settings) -> None:
    api = Api(settings)
    for thing in manifests.objects(settings.host):
        api.call("POST", manifests.COLLECTIONS[thing["kind"]], thing)


def _dns_ready(settings: Settings) -> Callable[[], bool]:
    api = Api(settings)
    path = f"{manifests.COLLECTIONS['Deployment']}/coredns"
    return lambda: api.get(path).get("status", {}).get("availableReplicas", 0) > 0
