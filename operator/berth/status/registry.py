"""`RegistryAvailable`: whether the project's registry responds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from berth.api.conditions import ConditionReason, ConditionType
from berth.api.names import REGISTRY_NAME, project_namespace
from berth.api.project import Project
from berth.status.conditions import Finding, Status, parenthesize, progressing, quote, settled, stalled
from berth.status.observed import ObservedContainer, ObservedDeployment, ObservedPod, ProbeOutcome, ProjectObservation

CRASHES: Final = 3
"""Restarts after which a registry that is not ready counts as crash-looping, even while it runs."""

_TYPE = ConditionType.REGISTRY_AVAILABLE
_PULL_PROBLEMS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})


def compute_registry_available(project: Project, observed: ProjectObservation, *, stop_reason: str) -> Finding:
    """`stop_reason`: why the registry should be stopped, as a clause; empty when it should run."""
    if stop_reason:
        return _stopped(observed.deployment, stop_reason)
    deployment = observed.deployment
    if deployment is None:
        sentence = f"Deployment {REGISTRY_NAME} {_where(project)} does not exist yet."
        return progressing(_TYPE, "False", ConditionReason.REGISTRY_STARTING, sentence)
    problem = _problem(project, deployment, observed.pods)
    if problem is not None:
        return problem
    is_observed = deployment.observed_generation >= deployment.generation
    if not is_observed or min(deployment.updated, deployment.available) < deployment.replicas:
        return _rolling(project, deployment)
    return _responding(project, observed)


def termination_summary(message: str) -> str:
    """The most useful line of a termination message: a panic, else the last line; of a JSON line its `msg`."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    panic = next((line for line in lines if line.startswith("panic:")), "")
    line = panic or (lines[-1] if lines else "")
    try:
        record = json.loads(line)
    except ValueError:
        return quote(line)
    msg = record.get("msg") if isinstance(record, dict) else None
    return quote(msg if isinstance(msg, str) and msg else line)


def _where(project: Project) -> str:
    return f"in namespace {project_namespace(project.project_id)}"


def _stopped(deployment: ObservedDeployment | None, stop_reason: str) -> Finding:
    left = deployment.current if deployment else 0
    if left or (deployment and deployment.replicas):
        sentence = f"The registry is stopping because {stop_reason}; {left} of its pods are left."
        return progressing(_TYPE, "False", ConditionReason.REGISTRY_STOPPED, sentence)
    sentence = f"The registry is stopped because {stop_reason}; its data is kept."
    return settled(_TYPE, "False", ConditionReason.REGISTRY_STOPPED, sentence)


def _problem(project: Project, deployment: ObservedDeployment, pods: tuple[ObservedPod, ...]) -> Finding | None:
    """The first problem of a pod that is not ready, in the order of a pod's start."""
    where = _where(project)
    if deployment.failure and deployment.current < deployment.replicas:
        sentence = f"The cluster refuses the registry's pod {where}: {quote(deployment.failure)}."
        return stalled(_TYPE, _available(deployment), ConditionReason.REGISTRY_POD_REFUSED, sentence)
    waiting = sorted((pod for pod in pods if not pod.ready and not pod.terminating), key=lambda pod: pod.name)
    for pod in waiting:
        if pod.unschedulable:
            sentence = f"No node can run pod {pod.name} {where}: {quote(pod.unschedulable)}."
            return progressing(_TYPE, _available(deployment), ConditionReason.REGISTRY_UNSCHEDULABLE, sentence)
    for pod, container in _containers(waiting):
        this = f"container {container.name} of pod {pod.name} {where}"
        found = _pull_problem(container, this, deployment) or _crash_loop(container, this, deployment)
        if found is not None:
            return found
    for pod in waiting:
        if pod.event:
            sentence = f"Pod {pod.name} {where} does not start: {quote(pod.event)}."
            return progressing(_TYPE, _available(deployment), ConditionReason.REGISTRY_STARTING, sentence)
    return None


def _containers(pods: list[ObservedPod]) -> Iterator[tuple[ObservedPod, ObservedContainer]]:
    return ((pod, container) for pod in pods for container in pod.containers)


def _pull_problem(container: ObservedContainer, this: str, deployment: ObservedDeployment) -> Finding | None:
    if container.waiting_reason not in _PULL_PROBLEMS:
        return None
    sentence = (
        f"The node cannot pull image {container.image} for {this}: {quote(container.waiting_message)}; "
        "correct the registry image of the installation, or make it reachable from the node."
    )
    return stalled(_TYPE, _available(deployment), ConditionReason.IMAGE_PULL_FAILED, sentence)


def _crash_loop(container: ObservedContainer, this: str, deployment: ObservedDeployment) -> Finding | None:
    looping = container.waiting_reason == "CrashLoopBackOff" or container.restarts >= CRASHES
    if not looping or container.ready:
        return None
    if container.last_reason == "OOMKilled":
        remedy = "it needs more memory: raise spec.registry.resources.limits.memory"
        sentence = f"The registry exits again and again, {this}: {remedy}."
    else:
        last = termination_summary(container.last_message) or container.last_reason or "no message"
        code = "" if container.last_exit_code is None else f" with exit code {container.last_exit_code}"
        sentence = f"The registry exits again and again{code}, {this}: {last}; kubectl logs --previous shows the rest."
    return stalled(_TYPE, _available(deployment), ConditionReason.REGISTRY_CRASH_LOOPING, sentence)


def _available(deployment: ObservedDeployment) -> Status:
    """A registry of several pods is available while one of them is."""
    return "True" if deployment.available else "False"


def _rolling(project: Project, deployment: ObservedDeployment) -> Finding:
    sentence = f"{deployment.available} of {deployment.replicas} registry pods {_where(project)} are ready."
    return progressing(_TYPE, _available(deployment), ConditionReason.REGISTRY_STARTING, sentence)


def _responding(project: Project, observed: ProjectObservation) -> Finding:
    if observed.probe is not None and observed.probe.outcome is ProbeOutcome.UNREACHABLE:
        sentence = (
            f"The registry's pod {_where(project)} is ready and does not answer Berth"
            f"{parenthesize(observed.probe.message)}: "
            "check that no NetworkPolicy or mesh blocks traffic from Berth's namespace to this one."
        )
        return progressing(_TYPE, "False", ConditionReason.REGISTRY_UNREACHABLE, sentence)
    return settled(_TYPE, "True", ConditionReason.REGISTRY_AVAILABLE, "The registry answers.")
