"""The operator in process against a real API server, under its own ServiceAccount with the rights of the chart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from berth.api import names
from berth.kube.client import KubeClient, Selection
from berth.kube.resources import (
    DEPLOYMENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    PROJECTS,
    Manifest,
    Resource,
)
from berth.services.operator.process import operate
from berth.status.observed import ObservedProbe, ProbeOutcome
from tests.kit.control_plane import ControlPlane, tool
from tests.kit.operator.settings import ACCOUNT, BERTH, operator_settings

REPOSITORY = Path(__file__).parents[3]
PATIENCE = 30.0  # seconds; a limit for broken code, never waited for by working code


def install(plane: ControlPlane) -> Path:
    """CRDs, Berth's namespace and the operator's ServiceAccount; returns a kubeconfig of that account."""
    for crd in sorted((REPOSITORY / "crds").glob("*.yaml")):
        plane.kubectl("apply", "--server-side", "-f", str(crd), check=True)
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s", check=True)
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": BERTH}})
    plane.service_account(BERTH, ACCOUNT)
    command = [str(tool("helm")), "template", "berth", str(REPOSITORY / "charts/berth"), "-n", BERTH]
    command += ["--set", "host=registry.example.org", "-s", "templates/rbac-operator.yaml"]
    command += ["-s", "templates/admission.yaml"]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ}).stdout
    plane.kubectl("-n", BERTH, "apply", "--server-side", "-f", "-", input=rendered, check=True)
    start_access(plane, "access", "192.0.2.100")
    return plane.kubeconfig_of(BERTH, ACCOUNT)


def start_access(plane: ControlPlane, name: str, address: str) -> None:
    """A pod of the access service that runs and is ready."""
    labels = {"app.kubernetes.io/instance": "berth", "app.kubernetes.io/component": "access"}
    container = {"name": "access", "image": "berth", "ports": [{"name": "http", "containerPort": 8080}]}
    plane.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": BERTH, "labels": labels},
            "spec": {"containers": [container], "automountServiceAccountToken": False},
        }
    )
    tell_access(plane, name, ready=True, phase="Running", podIP=address, podIPs=[{"ip": address}])


def tell_access(plane: ControlPlane, name: str, *, ready: bool, **more: Any) -> None:
    """What the kubelet says of a pod of the access service."""
    status = {"conditions": [{"type": "Ready", "status": str(ready)}], **more}
    where = ("-n", BERTH, "patch", "pod", name, "--subresource=status", "--type=merge")
    plane.kubectl(*where, "-p", json.dumps({"status": status}), check=True)


class Registries:
    """Stub of every project's registry: the result of each probe, and a list of them."""

    def __init__(self) -> None:
        self.answer: ObservedProbe | None = ObservedProbe(ProbeOutcome.WRITTEN)
        self.probed: list[str] = []

    async def __call__(self, project_id: str) -> ObservedProbe | None:
        self.probed.append(project_id)
        return self.answer


class Replicas:
    """Stub of the replicas of access, by the addresses of their pods: the revision of each."""

    def __init__(self) -> None:
        self.behind: set[str] = set()  # addresses without a policy
        self.silent: set[str] = set()  # addresses that do not answer

    async def __call__(self, address: str, _port: int, wanted: Mapping[str, int]) -> Mapping[str, int] | None:
        if address in self.silent:
            return None
        return {} if address in self.behind else wanted


@dataclass
class Cluster:
    """What a test sees of the cluster, as its administrator."""

    plane: ControlPlane
    admin: KubeClient
    operator_kubeconfig: Path
    registries: Registries = field(default_factory=Registries)
    replicas: Replicas = field(default_factory=lambda: Replicas())
    user: str = f"system:serviceaccount:{BERTH}:{ACCOUNT}"

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Manifest:
        """An object that must exist."""
        live = await self.admin.get(resource, name, namespace)
        assert live is not None, f"{resource.describe(name, namespace)} does not exist"
        return live

    async def until(
        self, resource: Resource, name: str, holds: Callable[[Manifest | None], bool], namespace: str | None = None
    ) -> Manifest | None:
        """Watch one object until a condition holds; None is the object that does not exist."""
        selection = Selection(resource, namespace, field_selector=f"metadata.name={name}")
        last: Manifest | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                listing = await self.admin.listing(selection)
                last = listing.items[0] if listing.items else None
                if holds(last):
                    return last
                async for event in self.admin.watch(selection, listing.resource_version, 60):
                    if event.type == "BOOKMARK":
                        continue
                    last = None if event.type == "DELETED" else event.object
                    if holds(last):
                        return last
        except TimeoutError:
            raise AssertionError(f"{resource.describe(name, namespace)} stayed {last}") from None
        raise AssertionError("the watch ended")

    async def condition(self, resource: Resource, name: str, namespace: str | None = None, **wanted: str) -> Manifest:
        """Wait until conditions are so: `Ready="True"`, or `Ready="ClaimPending"` for a reason."""

        def holds(live: Manifest | None) -> bool:
            found = {c["type"]: c for c in ((live or {}).get("status") or {}).get("conditions") or ()}
            return all(
                word in (found.get(t, {}).get("status"), found.get(t, {}).get("reason")) for t, word in wanted.items()
            )

        live = await self.until(resource, name, holds, namespace)
        assert live is not None
        return live

    async def make_project(self, name: str, **spec: Any) -> Manifest:
        """Apply a Project as its owner would."""
        storage = {
            "type": "PersistentVolumeClaim",
            "persistentVolumeClaim": {"size": "1Gi", "storageClassName": "fast"},
        }
        body = {
            "apiVersion": names.API_VERSION,
            "kind": "Project",
            "metadata": {"name": name},
            "spec": {"storage": storage, **spec},
        }
        return await self.admin.apply(PROJECTS, body, field_manager="owner")

    async def bind_claim(self, project: str) -> None:
        """What a provisioner does."""
        namespace = names.project_namespace(project)
        await self.until(PERSISTENT_VOLUME_CLAIMS, "registry", lambda live: live is not None, namespace)
        self.status(PERSISTENT_VOLUME_CLAIMS, "registry", namespace, {"phase": "Bound", "capacity": {"storage": "1Gi"}})

    async def start_pod(self, project: str) -> Manifest:
        """What the controllers, the scheduler and the kubelet do with the registry's Deployment."""
        namespace = names.project_namespace(project)
        deployment = await self.until(DEPLOYMENTS, "registry", lambda live: live is not None, namespace)
        assert deployment is not None
        template = deployment["spec"]["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "registry-0", "namespace": namespace, "labels": template["metadata"]["labels"]},
            "spec": template["spec"],
        }
        await self.admin.apply(PODS, pod, field_manager="kube-controller-manager")
        ready = [{"type": "Ready", "status": "True"}]
        containers = [{"name": "registry", "ready": True, "restartCount": 0, "image": "r", "imageID": "r"}]
        self.status(
            PODS, "registry-0", namespace, {"phase": "Running", "conditions": ready, "containerStatuses": containers}
        )
        self.deployment_status(project, deployment["metadata"]["generation"], 1)
        return deployment

    def deployment_status(self, project: str, generation: int, replicas: int) -> None:
        """What the Deployment's controller writes."""
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
        status = {"observedGeneration": generation, **counts}
        self.status(DEPLOYMENTS, "registry", names.project_namespace(project), status)

    def status(self, resource: Resource, name: str, namespace: str, status: dict[str, Any]) -> None:
        """Write a status by hand, as the controller that is not there would."""
        patch = json.dumps({"status": status})
        where = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
        self.plane.kubectl(
            "-n", namespace, "patch", where, name, "--subresource=status", "--type=merge", "-p", patch, check=True
        )

    async def ready_project(self, name: str, **spec: Any) -> Manifest:
        """A project that went all the way."""
        await self.make_project(name, **spec)
        await self.bind_claim(name)
        await self.start_pod(name)
        return await self.condition(PROJECTS, name, Ready="True")


@dataclass
class RunningOperator:
    """One operator process, in process."""

    port: int

    async def idle(self) -> None:
        """Wait until no key is due or worked on."""
        await self._until(
            lambda sample: sample("berth_reconcile_active") == 0 and not sample("berth_workqueue_longest_wait_seconds")
        )

    async def reconciles(self, kind: str) -> float:
        """Reconciles of objects of a kind so far."""
        return (await self._sample())("berth_reconcile_total", kind)

    async def reconciled_again(self, kind: str, before: float) -> None:
        """Wait until there was another reconcile, and nothing is left to do."""
        await self._until(lambda sample: sample("berth_reconcile_total", kind) > before)
        await self.idle()

    async def _until(self, holds: Callable[[Callable[..., float]], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds(await self._sample()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # the interval of a poll: metrics cannot be watched

    async def _sample(self) -> Callable[..., float]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            families = list(text_string_to_metric_families(await answer.text()))
        samples = [sample for family in families for sample in family.samples]

        def read(name: str, kind: str = "") -> float:
            return sum(s.value for s in samples if s.name == name and (not kind or s.labels.get("kind") == kind))

        return read

    async def ready(self) -> None:
        """Wait until every watch has listed."""
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.02)  # the interval of a poll: readiness cannot be watched


@contextlib.asynccontextmanager
async def running_operator(cluster: Cluster, **changed: Any) -> AsyncIterator[RunningOperator]:
    """The whole operator, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = operator_settings(health_port=port, **changed)
    stop = asyncio.Event()
    async with KubeClient.connect(cluster.operator_kubeconfig, user_agent="berth-operator") as client:
        task = asyncio.create_task(operate(settings, client, cluster.registries, cluster.replicas, stop))
        operator = RunningOperator(port)
        try:
            waiting = asyncio.create_task(operator.ready())
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                waiting.cancel()
                await task
            await waiting
            yield operator
        finally:
            stop.set()
            await task
