"""The Deployment of a project's registry: CNCF Distribution, unmodified, under Pod Security `restricted`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from berth.api import names
from berth.api.project import AccessMode, Project, RegistrySettings
from berth.desired.inputs import ProjectInputs, StartedWith
from berth.desired.labels import NAME, child, registry_selector
from berth.desired.registry.claim import CLAIM_NAME
from berth.desired.registry.config import (
    CONFIG_DIR,
    CONFIG_KEY,
    DATA_DIR,
    DEBUG_PORT,
    DRAIN_SECONDS,
    dump_config,
    registry_config,
)
from berth.desired.registry.resources import container_resources
from berth.desired.registry.secret import SECRET_NAME

ANNOTATION_START_HASH: Final = f"{names.GROUP}/start-hash"
ANNOTATION_AUTHORITIES: Final = f"{names.GROUP}/token-authorities"
USER_ID: Final = 65532
GRACE_SECONDS: Final = DRAIN_SECONDS + 15
"""The kubelet's patience: the drain, and time to leave the Service's endpoints before it and to end after it."""

_LEAVE_SECONDS = 5


def build_deployment(project: Project, inputs: ProjectInputs) -> dict[str, Any]:
    """The Deployment `registry`; no pods while the project is suspended or deleted."""
    settings = project.spec.registry or RegistrySettings()
    shared = project.spec.storage.persistent_volume_claim.access_mode is AccessMode.READ_WRITE_MANY
    template = {
        "metadata": {
            "labels": {
                names.LABEL_NAME: NAME,
                names.LABEL_INSTANCE: inputs.instance,
                names.LABEL_PART_OF: NAME,
                **registry_selector(project.project_id),
            },
        },
        "spec": _pod(project.project_id, settings, inputs, shared=shared),
    }
    template["metadata"]["annotations"] = _started_with(project.project_id, template, inputs)
    spec = {
        "replicas": settings.replicas if inputs.running else 0,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": registry_selector(project.project_id)},
        "strategy": _strategy(shared=shared),
        "template": template,
    }
    made = child("apps/v1", "Deployment", names.REGISTRY_NAME, project.project_id, names.REGISTRY_NAME, inputs)
    made["metadata"]["labels"][names.LABEL_VERSION] = inputs.registry_version
    return {**made, "spec": spec}


def started_with(deployment: Mapping[str, Any] | None) -> StartedWith:
    """What a live Deployment says that its pods were started with; nothing where there is none."""
    template = (deployment or {}).get("spec", {}).get("template", {})
    annotations = template.get("metadata", {}).get("annotations") or {}
    named = annotations.get(ANNOTATION_AUTHORITIES, "")
    return StartedWith(annotations.get(ANNOTATION_START_HASH, ""), frozenset(named.split(",") if named else ()))


def _started_with(project_id: str, template: Mapping[str, Any], inputs: ProjectInputs) -> dict[str, str]:
    """The annotations of the pod template that say what the registry reads at its start, so that it restarts for it.

    Only an authority that it can not do without is worth a restart: one that signs, or is to sign next, and was not
    there when it started, and one that was and is trusted no more. Whatever else is new, it reads at its next start.
    """
    config = dump_config(registry_config(project_id, inputs))
    # Safe to show: the configuration holds 256 bits of randomness, so it can not be guessed from the hash.
    text = json.dumps([template, config], sort_keys=True)
    present = hashlib.sha256(text.encode()).hexdigest()[:32]
    known, started = inputs.token_authorities, inputs.started
    enough = started.template == present and known.needed <= started.authorities <= known.trusted
    authorities = started.authorities if enough else known.trusted
    return {ANNOTATION_START_HASH: present, ANNOTATION_AUTHORITIES: ",".join(sorted(authorities))}


def _strategy(*, shared: bool) -> dict[str, Any]:
    """A claim for one node can not serve the old pod and the new one; a shared claim can, so no pull is refused."""
    if shared:
        return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return {"type": "Recreate"}


def _pod(project_id: str, settings: RegistrySettings, inputs: ProjectInputs, *, shared: bool) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        # A Service named `registry` would inject REGISTRY_* variables, which override the configuration.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(settings, inputs, shared=shared)],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": CLAIM_NAME}},
            {"name": "config", "secret": {"secretName": SECRET_NAME, "defaultMode": 0o440}},
        ],
    }
    if settings.replicas > 1:
        pod["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": registry_selector(project_id)},
            }
        ]
    return pod


def _container(settings: RegistrySettings, inputs: ProjectInputs, *, shared: bool) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": names.REGISTRY_NAME,
        "image": inputs.registry_image,
        "imagePullPolicy": inputs.registry_pull_policy,
        "args": ["serve", f"{CONFIG_DIR}/{CONFIG_KEY}"],
        # Without it the registry sends traces to a collector on localhost that is not there.
        "env": [{"name": "OTEL_TRACES_EXPORTER", "value": "none"}],
        "ports": [
            {"name": "registry", "containerPort": names.REGISTRY_PORT, "protocol": "TCP"},
            {"name": "debug", "containerPort": DEBUG_PORT, "protocol": "TCP"},
        ],
        **_probes(),
        "resources": container_resources(settings.resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # The registry writes its last words to stderr; they become the message that the Project's status tells.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "data", "mountPath": DATA_DIR},
            {"name": "config", "mountPath": CONFIG_DIR, "readOnly": True},
        ],
    }
    if shared:
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": _LEAVE_SECONDS}}}
    return container


def _probes() -> dict[str, Any]:
    """`/` needs no token and answers 503 while the storage check fails; `/v2/` answers 401, a failure to the kubelet.

    Liveness asks for the port alone: a restart mends no storage.
    """
    answers = {"httpGet": {"path": "/", "port": "registry"}}
    return {
        "startupProbe": {**answers, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 120},
        "readinessProbe": {**answers, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 2},
        "livenessProbe": {
            "tcpSocket": {"port": "registry"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }
