"""The Secret that holds a registry's configuration: a Secret, because `http.secret` is part of it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from berth.api import names
from berth.desired.inputs import ProjectInputs
from berth.desired.labels import child
from berth.desired.registry_config import CA_KEY, CONFIG_KEY, dump_config, registry_config

SECRET_NAME: Final = names.REGISTRY_NAME


def build_registry_secret(project_id: str, inputs: ProjectInputs) -> dict[str, Any]:
    """The Secret `registry`. `data`, not `stringData`: the API server keeps only the former, so the latter drifts."""
    data = {key: base64.b64encode(text.encode()).decode() for key, text in _files(project_id, inputs).items()}
    return child("v1", "Secret", SECRET_NAME, project_id, names.REGISTRY_NAME, inputs, type="Opaque", data=data)


def config_hash(project_id: str, inputs: ProjectInputs) -> str:
    """A hash of the Secret's content for the pod template, so that a change of it restarts the registry.

    Safe to show: the content holds 256 bits of randomness, so it can not be guessed from the hash.
    """
    return _hash({key: text.encode() for key, text in _files(project_id, inputs).items()})


def live_config_hash(secret: Mapping[str, Any]) -> str:
    """The same hash, of a Secret as the API server returns it. Raises ValueError for one that is not base64."""
    return _hash({key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()})


def _hash(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for key, content in sorted(files.items()):
        digest.update(key.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:32]


def _files(project_id: str, inputs: ProjectInputs) -> dict[str, str]:
    return {CONFIG_KEY: dump_config(registry_config(project_id, inputs)), CA_KEY: inputs.token_ca_pem}
