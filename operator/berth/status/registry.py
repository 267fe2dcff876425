"""`RegistryAvailable`: the project's registry answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from berth.api.conditions import ConditionReason, ConditionType
from berth.api.names import REGISTRY_NAME, project_namespace
from berth.api.project import Project
from berth.status.conditions import Finding, Status, progressing, quote, settled, stalled
from berth.status.observed import ObservedContainer, ObservedDeployment, ObservedPod, ProbeOutcome, ProjectObservation

CRASHES: Final = 3
"""Restarts after which a registry that is not ready counts as crash-looping, also in the moment when it runs."""

_ABOUT = ConditionType.REGISTRY_AVAILABLE
_PULL_PROBLEMS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})


def judge_registry(project: Project, observed: ProjectObservation, *, stopped_for: str) -> Finding:
    """`stopped_for`: why there is to be no pod, as a clause; empty when there is to be one."""
    if stopped_for:
        return _stopped(observed.deployment, stopped_for)
    deployment = observed.deployment
    if deployment is None:
        sentence = f"Deployment {REGISTRY_NAME} {_where(project)} is not made yet."
        return progressing(_ABOUT, "False", ConditionReason.REGISTRY_STARTING, sentence)
    problem = _problem(project, deployment, observed.pods)
    if problem is not None:
        return problem
    if deployment.observed_generation < deployment.generation or deployment.updated < deployment.replicas:
        return _rolling(project, deployment)
    if deployment.available < deployment.replicas:
        return _rolling(project, deployment)
    return _answering(project, observed)


def last_words(message: str) -> str:
    """The line of a termination message that says most: a panic, else the last one; of a line of JSON its `msg`."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    panic = next((line for line in lines if line.startswith("panic:")), "")
    line = panic or (lines[-1] if lines else "")
    try:
        record = json.loads(line)
    except ValueError:
        return quote(line)
    said = record.get("msg") if isinstance(record, dict) else None
    return quote(said if isinstance(said, str) and said else line)


def _where(project: Project) -> str:
    return f"in namespace {project_namespace(project.project_id)}"


def _stopped(deployment: ObservedDeployment | None, stopped_for: str) -> Finding:
    left = deployment.current if deployment else 0
    if left or (deployment and deployment.replicas):
        sentence = f"The registry is stopping because {stopped_for}; {left} of its pods are left."
        return progressing(_ABOUT, "False", ConditionReason.REGISTRY_STOPPED, sentence)
    sentence = f"The registry is stopped because {stopped_for}; its data is kept."
    return settled(_ABOUT, "False", ConditionReason.REGISTRY_STOPPED, sentence)


def _problem(project: Project, deployment: ObservedDeployment, pods: tuple[ObservedPod, ...]) -> Finding | None:
    """The first thing that keeps a pod from being ready, in the order in which a pod goes through them."""
    where = _where(project)
    if deployment.failure and deployment.current < deployment.replicas:
        sentence = f"The cluster refuses the registry's pod {where}: {quote(deployment.failure)}."
        return stalled(_ABOUT, _some(deployment), ConditionReason.REGISTRY_POD_REFUSED, sentence)
    waiting = sorted((pod for pod in pods if not pod.ready and not pod.terminating), key=lambda pod: pod.name)
    for pod in waiting:
        if pod.unschedulable:
            sentence = f"No node takes pod {pod.name} {where}: {quote(pod.unschedulable)}."
            return progressing(_ABOUT, _some(deployment), ConditionReason.REGISTRY_UNSCHEDULABLE, sentence)
    for pod, container in _containers(waiting):
        this = f"container {container.name} of pod {pod.name} {where}"
        found = _pull_problem(container, this, deployment) or _crash_loop(container, this, deployment)
        if found is not None:
            return found
    for pod in waiting:
        if pod.event:
            sentence = f"Pod {pod.name} {where} does not start: {quote(pod.event)}."
            return progressing(_ABOUT, _some(deployment), ConditionReason.REGISTRY_STARTING, sentence)
    return None


def _containers(pods: list[ObservedPod]) -> Iterator[tuple[ObservedPod, ObservedContainer]]:
    return ((pod, container) for pod in pods for container in pod.containers)


def _pull_problem(container: ObservedContainer, this: str, deployment: ObservedDeployment) -> Finding | None:
    if container.waiting not in _PULL_PROBLEMS:
        return None
    sentence = (
        f"The node can not pull image {container.image} for {this}: {quote(container.waiting_message)}; "
        "correct the registry image of the installation, or make it reachable from the node."
    )
    return stalled(_ABOUT, _some(deployment), ConditionReason.IMAGE_PULL_FAILED, sentence)


def _crash_loop(container: ObservedContainer, this: str, deployment: ObservedDeployment) -> Finding | None:
    looping = container.waiting == "CrashLoopBackOff" or container.restarts >= CRASHES
    if not looping or container.ready:
        return None
    if container.last_reason == "OOMKilled":
        remedy = "it needs more memory: raise spec.registry.resources.limits.memory"
        sentence = f"The registry ends again and again, {this}: {remedy}."
    else:
        said = last_words(container.last_message) or container.last_reason or "no message"
        code = "" if container.last_exit_code is None else f" with exit code {container.last_exit_code}"
        sentence = f"The registry ends again and again{code}, {this}: {said}; kubectl logs --previous shows the rest."
    return stalled(_ABOUT, _some(deployment), ConditionReason.REGISTRY_CRASH_LOOPING, sentence)


def _some(deployment: ObservedDeployment) -> Status:
    """A registry of several pods answers while one of them does."""
    return "True" if deployment.available else "False"


def _rolling(project: Project, deployment: ObservedDeployment) -> Finding:
    sentence = f"{deployment.available} of {deployment.replicas} registry pods {_where(project)} are ready."
    return progressing(_ABOUT, _some(deployment), ConditionReason.REGISTRY_STARTING, sentence)


def _answering(project: Project, observed: ProjectObservation) -> Finding:
    if observed.probe is not None and observed.probe.outcome is ProbeOutcome.UNREACHABLE:
        said = f" ({quote(observed.probe.message)})" if observed.probe.message else ""
        sentence = (
            f"The registry's pod {_where(project)} is ready and does not answer Berth{said}: "
            "see that no NetworkPolicy or mesh stands between Berth's namespace and this one."
        )
        return progressing(_ABOUT, "False", ConditionReason.REGISTRY_UNREACHABLE, sentence)
    return settled(_ABOUT, "True", ConditionReason.REGISTRY_AVAILABLE, "The registry answers.")
