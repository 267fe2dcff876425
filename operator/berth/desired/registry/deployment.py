"""The Deployment of a project's registry: CNCF Distribution, unmodified, under Pod Security `restricted`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from berth.api import names
from berth.api.project import AccessMode, Project, RegistrySettings
from berth.desired.inputs import ProjectInputs, StartState
from berth.desired.labels import NAME, build_child, registry_selector
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
"""The pod's grace period: the drain, plus time for leaving the Service's endpoints and for exiting."""

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
    template["metadata"]["annotations"] = _start_annotations(project.project_id, template, inputs)
    spec = {
        "replicas": settings.replicas if inputs.is_running else 0,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": registry_selector(project.project_id)},
        "strategy": _strategy(shared=shared),
        "template": template,
    }
    made = build_child("apps/v1", "Deployment", names.REGISTRY_NAME, project.project_id, names.REGISTRY_NAME, inputs)
    made["metadata"]["labels"][names.LABEL_VERSION] = inputs.registry_version
    return {**made, "spec": spec}


def read_start_state(deployment: Mapping[str, Any] | None) -> StartState:
    """Read the start state from a live Deployment; empty when there is none."""
    template = (deployment or {}).get("spec", {}).get("template", {})
    annotations = template.get("metadata", {}).get("annotations") or {}
    authorities = annotations.get(ANNOTATION_AUTHORITIES, "")
    return StartState(
        annotations.get(ANNOTATION_START_HASH, ""), frozenset(authorities.split(",") if authorities else ())
    )


def _start_annotations(project_id: str, template: Mapping[str, Any], inputs: ProjectInputs) -> dict[str, str]:
    """Annotations of the pod template that restart the registry when its start configuration changes.

    New authorities restart it only where it must: when it does not trust a required one, or trusts one that is no
    longer trusted. It reads all others at its next start.
    """
    config = dump_config(registry_config(project_id, inputs))
    # The hash reveals nothing: the configuration contains 256 random bits.
    text = json.dumps([template, config], sort_keys=True)
    template_hash = hashlib.sha256(text.encode()).hexdigest()[:32]
    known, live = inputs.token_authorities, inputs.start_state
    is_current = live.template_hash == template_hash and known.required <= live.authorities <= known.trusted
    authorities = live.authorities if is_current else known.trusted
    return {ANNOTATION_START_HASH: template_hash, ANNOTATION_AUTHORITIES: ",".join(sorted(authorities))}


def _strategy(*, shared: bool) -> dict[str, Any]:
    """A rolling update on a shared claim; a claim of one node cannot serve the old and the new pod together."""
    if shared:
        return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return {"type": "Recreate"}


def _pod(project_id: str, settings: RegistrySettings, inputs: ProjectInputs, *, shared: bool) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        # The Service `registry` would inject REGISTRY_* variables, which override the configuration.
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
        # Without it the registry sends traces to a collector on localhost that does not exist.
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
        # The registry's last lines on stderr become its termination message, which the Project's status quotes.
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
    """Probes on `/`, which needs no token and responds 503 while the storage check fails (`/v2/` responds 401).

    Liveness checks only the port: a restart repairs no storage.
    """
    http = {"httpGet": {"path": "/", "port": "registry"}}
    return {
        "startupProbe": {**http, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 120},
        "readinessProbe": {**http, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 2},
        "livenessProbe": {
            "tcpSocket": {"port": "registry"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }
