"""The Secret with a registry's configuration, which contains `http.secret`."""

from __future__ import annotations

import base64
from typing import Any, Final

from berth.api import names
from berth.desired.inputs import ProjectInputs
from berth.desired.labels import build_child
from berth.desired.registry.config import CA_KEY, CONFIG_KEY, dump_config, registry_config

SECRET_NAME: Final = names.REGISTRY_NAME


def build_registry_secret(project_id: str, inputs: ProjectInputs) -> dict[str, Any]:
    """The Secret `registry`. It uses `data`: the API server stores no `stringData`, so that would always drift."""
    data = {key: base64.b64encode(text.encode()).decode() for key, text in _files(project_id, inputs).items()}
    return build_child("v1", "Secret", SECRET_NAME, project_id, names.REGISTRY_NAME, inputs, type="Opaque", data=data)


def _files(project_id: str, inputs: ProjectInputs) -> dict[str, str]:
    return {CONFIG_KEY: dump_config(registry_config(project_id, inputs)), CA_KEY: inputs.token_authorities.bundle}
