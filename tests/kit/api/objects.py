"""Objects for the tests of the API: the smallest valid one of each kind, with changes at dotted paths."""

from __future__ import annotations

import copy
from typing import Any, Final

Object = dict[str, Any]
REMOVED: Final = object()
"""As a value of `changed`: the field is taken away."""


def changed(base: Object, **changes: Any) -> Object:
    """A copy with changes; `a__b` is the path `a.b`."""
    made = copy.deepcopy(base)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = made
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is REMOVED:
            del place[last]
        else:
            place[last] = value
    return made


def _object(kind: str, name: str, spec: Object, namespace: str | None = None) -> Object:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def project(name: str, **changes: Any) -> Object:
    """A Project; changes are below spec."""
    storage = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "5Gi"}}
    return _object("Project", name, changed({"storage": storage}, **changes))


def repository(name: str, namespace: str, **changes: Any) -> Object:
    """A DockerRepository; changes are below spec."""
    return _object("DockerRepository", name, changed({}, **changes), namespace)


def user(name: str, **changes: Any) -> Object:
    """A RegistryUser; changes are below spec."""
    return _object("RegistryUser", name, changed({}, **changes))


def certification(name: str, **changes: Any) -> Object:
    """A Certification; changes are below spec."""
    spec = {"subject": {"kind": "User", "name": "curator"}, "certifiedBy": "registry-office"}
    return _object("Certification", name, changed(spec, **changes))


def team(name: str, **changes: Any) -> Object:
    """A RegistryTeam; changes are below spec."""
    return _object("RegistryTeam", name, changed({}, **changes))


def token(name: str, **changes: Any) -> Object:
    """An AccessToken; changes are below spec."""
    spec = {"owner": {"kind": "User", "name": "curator"}, "scopes": ["download"], "sha256": "0" * 64}
    return _object("AccessToken", name, changed(spec, **changes))


def policy(name: str, namespace: str, **changes: Any) -> Object:
    """An AccessPolicy; changes are below spec."""
    rule = {"kind": "User", "name": "reviewer", "level": "Download", "actions": ["view", "pull"], "source": "Sharing"}
    return _object("AccessPolicy", name, changed({"project": "genomics", "rules": [rule]}, **changes), namespace)
