"""The Secret that holds a registry's configuration: a Secret, because `http.secret` is part of it."""

from __future__ import annotations

import base64
from typing import Any, Final

from berth.api import names
from berth.desired.inputs import ProjectInputs
from berth.desired.labels import child
from berth.desired.registry.config import CA_KEY, CONFIG_KEY, dump_config, registry_config

SECRET_NAME: Final = names.REGISTRY_NAME


def build_registry_secret(project_id: str, inputs: ProjectInputs) -> dict[str, Any]:
    """The Secret `registry`. `data`, not `stringData`: the API server keeps only the former, so the latter drifts."""
    data = {key: base64.b64encode(text.encode()).decode() for key, text in _files(project_id, inputs).items()}
    return child("v1", "Secret", SECRET_NAME, project_id, names.REGISTRY_NAME, inputs, type="Opaque", data=data)


def _files(project_id: str, inputs: ProjectInputs) -> dict[str, str]:
    return {CONFIG_KEY: dump_config(registry_config(project_id, inputs)), CA_KEY: inputs.token_authorities.bundle}
