"""Comparison of a live object with its desired manifest. Pure.

A live object drifts in two ways:

- *changed*: a desired field is absent or has another value. Lists are compared as a whole, quantities by their value,
  and an empty desired value equals an absent one, because the API server drops those.
- *extra*: a part that grants something (pod templates, network policies, roles, bindings, policies, the data of
  Secrets) has a field or item that is not desired. Defaults of the API server do not count. In all other parts, labels,
  annotations and fields of other field managers are ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from berth.api.names import ANNOTATION_DESIRED_HASH
from berth.api.quantities import exact_quantity
from berth.kube.resources import Manifest

Path: TypeAlias = tuple[str, ...]

_ANY: Final = object()
_QUANTITY_PARENTS: Final = frozenset({"requests", "limits"})
_QUANTITY_KEYS: Final = frozenset({"sizeLimit"})
_NOT_DESIRED: Final = frozenset({"apiVersion", "kind", "metadata", "status"})

STRICT: Final[Mapping[str, tuple[Path, ...]]] = {
    "Deployment": (("spec", "template", "spec"),),
    "NetworkPolicy": (("spec",),),
    "Role": (("rules",),),
    "RoleBinding": (("roleRef",), ("subjects",)),
    "AccessPolicy": (("spec",),),
    "Secret": (("data",),),
    "ConfigMap": (("data",), ("binaryData",)),
    "Service": (("spec",),),
}
"""Parts of each kind that have no fields or items besides the desired ones."""

_PROBE: Final[dict[str, object]] = {
    "timeoutSeconds": 1,
    "periodSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 3,
}
_CONTAINER: Final = ("spec", "template", "spec", "containers", "*")

# Defaults that the API server sets (k8s.io/kubernetes, pkg/apis/*/v1/defaults.go).
_DEFAULTS: Final[Mapping[str, Mapping[Path, object]]] = {
    "Deployment": {
        ("spec", "template", "spec", "restartPolicy"): "Always",
        ("spec", "template", "spec", "terminationGracePeriodSeconds"): 30,
        ("spec", "template", "spec", "dnsPolicy"): "ClusterFirst",
        ("spec", "template", "spec", "schedulerName"): "default-scheduler",
        ("spec", "template", "spec", "securityContext"): {},
        ("spec", "template", "spec", "serviceAccount"): "default",
        ("spec", "template", "spec", "volumes", "*", "secret", "defaultMode"): 0o644,
        ("spec", "template", "spec", "volumes", "*", "configMap", "defaultMode"): 0o644,
        ("spec", "template", "spec", "volumes", "*", "projected", "defaultMode"): 0o644,
        (*_CONTAINER, "terminationMessagePath"): "/dev/termination-log",
        (*_CONTAINER, "terminationMessagePolicy"): "File",
        (*_CONTAINER, "imagePullPolicy"): _ANY,
        (*_CONTAINER, "resources"): {},
        (*_CONTAINER, "ports", "*", "protocol"): "TCP",
        (*_CONTAINER, "env", "*", "valueFrom", "fieldRef", "apiVersion"): "v1",
        **{
            (*_CONTAINER, probe, name): value
            for probe in ("livenessProbe", "readinessProbe", "startupProbe")
            for name, value in _PROBE.items()
        },
        **{
            (*_CONTAINER, probe, "httpGet", "scheme"): "HTTP"
            for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        },
    },
    "NetworkPolicy": {
        ("spec", "ingress", "*", "ports", "*", "protocol"): "TCP",
        ("spec", "egress", "*", "ports", "*", "protocol"): "TCP",
    },
    "Service": {
        ("spec", "type"): "ClusterIP",
        ("spec", "sessionAffinity"): "None",
        ("spec", "internalTrafficPolicy"): "Cluster",
        ("spec", "clusterIP"): _ANY,
        ("spec", "clusterIPs"): _ANY,
        ("spec", "ipFamilies"): _ANY,
        ("spec", "ipFamilyPolicy"): _ANY,
        ("spec", "ports", "*", "protocol"): "TCP",
        ("spec", "ports", "*", "targetPort"): _ANY,
    },
}


@dataclass(frozen=True, slots=True)
class Drift:
    """Differences, as paths without values for the log: `spec.template.spec.containers.0.image`."""

    changed: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.extra)


def desired_hash(desired: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of a manifest, without the hash annotation itself."""
    metadata = dict(desired["metadata"])
    annotations = {k: v for k, v in (metadata.pop("annotations", None) or {}).items() if k != ANNOTATION_DESIRED_HASH}
    if annotations:
        metadata["annotations"] = annotations
    text = json.dumps({**desired, "metadata": metadata}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def find_drift(desired: Manifest, live: Manifest) -> Drift:
    """Compare a desired manifest with the live object of the same name."""
    changed = [".".join(path) for path in _changed_top(desired, live)]
    kind = desired["kind"]
    defaults = _DEFAULTS.get(kind, {})
    extra = [
        ".".join(found)
        for path in STRICT.get(kind, ())
        for found in _extra(_at(desired, path), _at(live, path), path, path, defaults)
    ]
    return Drift(tuple(changed), tuple(extra))


def removal_patch(desired: Manifest, live: Manifest) -> Manifest:
    """A JSON merge patch (RFC 7396) that removes what is extra: null for fields, the whole list for items.

    Server-side apply cannot do this, because it only removes fields that Berth owned before.
    """
    kind = desired["kind"]
    defaults = _DEFAULTS.get(kind, {})
    patch: Manifest = {}
    for path in STRICT.get(kind, ()):
        part = _removal(_at(desired, path), _at(live, path), path, defaults)
        if part is not _NOTHING:
            _put(patch, path, part)
    return patch


_NOTHING: Final = object()


def _changed_top(desired: Manifest, live: Manifest) -> Iterator[Path]:
    for part in ("labels", "annotations"):
        wanted = desired["metadata"].get(part) or {}
        present = live["metadata"].get(part) or {}
        for key, value in wanted.items():
            if key != ANNOTATION_DESIRED_HASH and present.get(key) != value:
                yield ("metadata", part, key)
    for key, value in desired.items():
        if key not in _NOT_DESIRED:
            yield from _changed(value, live.get(key), (key,))


def _changed(want: Any, have: Any, path: Path) -> Iterator[Path]:
    """Paths at which the live value is not the desired one."""
    if _is_empty(want):
        if not _is_empty(have) and not isinstance(want, dict):
            yield path
    elif isinstance(want, dict):
        if not isinstance(have, dict):
            yield path
            return
        for key, value in want.items():
            yield from _changed(value, have.get(key), (*path, key))
    elif isinstance(want, list):
        if not isinstance(have, list) or len(have) != len(want):
            yield path
            return
        for index, (left, right) in enumerate(zip(want, have, strict=True)):
            yield from _changed(left, right, (*path, str(index)))
    elif want != have and not _same_quantity(want, have, path):
        yield path


def _extra(want: Any, have: Any, path: Path, pattern: Path, defaults: Mapping[Path, object]) -> Iterator[Path]:
    """Paths of live fields and items that are neither desired nor defaults of the API server."""
    if isinstance(have, dict):
        wanted = want if isinstance(want, dict) else {}
        for key, value in have.items():
            at, like = (*path, key), (*pattern, key)
            if key in wanted and wanted[key] is not None:
                yield from _extra(wanted[key], value, at, like, defaults)
            elif not _is_default(value, like, defaults, wanted):
                yield at
    elif isinstance(have, list):
        wanted_items = want if isinstance(want, list) else []
        for index, value in enumerate(have):
            at, like = (*path, str(index)), (*pattern, "*")
            if index < len(wanted_items):
                yield from _extra(wanted_items[index], value, at, like, defaults)
            else:
                yield at


def _is_default(value: Any, pattern: Path, defaults: Mapping[Path, object], siblings: Mapping[str, Any]) -> bool:
    if _is_empty(value) or value is False:
        return True
    default = defaults.get(pattern, _NOTHING)
    # `serviceAccount` is the deprecated alias of `serviceAccountName` and always equal to it.
    if pattern[-1] == "serviceAccount" and value == siblings.get("serviceAccountName"):
        return True
    return default is _ANY or default == value


def _removal(want: Any, have: Any, pattern: Path, defaults: Mapping[Path, object]) -> Any:
    """The merge patch for one value, or `_NOTHING`."""
    if isinstance(have, list):
        # A merge patch replaces whole lists, so one extra below a list needs the whole desired list.
        return want or [] if any(_extra(want, have, pattern, pattern, defaults)) else _NOTHING
    if not isinstance(have, dict):
        return _NOTHING
    wanted = want if isinstance(want, dict) else {}
    patch: Manifest = {}
    for key, value in have.items():
        like = (*pattern, key)
        if key in wanted and wanted[key] is not None:
            part = _removal(wanted[key], value, like, defaults)
            if part is not _NOTHING:
                patch[key] = part
        elif not _is_default(value, like, defaults, wanted):
            patch[key] = None
    return patch or _NOTHING


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _same_quantity(want: Any, have: Any, path: Path) -> bool:
    if len(path) < 2 or not (path[-2] in _QUANTITY_PARENTS or path[-1] in _QUANTITY_KEYS):
        return False
    try:
        return exact_quantity(str(want)) == exact_quantity(str(have))
    except ValueError:
        return False


def _at(manifest: Mapping[str, Any], path: Path) -> Any:
    value: Any = manifest
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _put(patch: Manifest, path: Path, value: Any) -> None:
    for key in path[:-1]:
        patch = patch.setdefault(key, {})
    patch[path[-1]] = value
