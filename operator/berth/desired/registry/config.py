"""The configuration of a project's registry (CNCF Distribution 3.x), as data.

Source of the keys: Distribution's `configuration/configuration.go`, `registry/handlers/app.go` and
`registry/auth/token/accesscontroller.go`, version 3.1.2.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from berth.api import names
from berth.desired.inputs import ProjectInputs

CONFIG_DIR: Final = "/etc/distribution"
CONFIG_KEY: Final = "config.yml"
CA_KEY: Final = "ca.crt"
DATA_DIR: Final = "/var/lib/registry"
DEBUG_PORT: Final = 5001
ISSUER: Final = "berth"

DRAIN_SECONDS: Final = 60
"""How long running transfers may go on after SIGTERM; the pod's grace period is longer."""

CATALOG_MAX_ENTRIES: Final = 1000
"""Largest page of `_catalog`; a larger `n` is an error in Distribution, so the healing walk asks for no more."""


def registry_config(project_id: str, inputs: ProjectInputs) -> dict[str, Any]:
    """The configuration of one project's registry."""
    return {
        "version": "0.1",
        "log": {
            "level": "info",
            "formatter": "json",
            # Lines in the format of Apache between lines of JSON; the JSON log has one for each response already.
            "accesslog": {"disabled": True},
            "fields": {"service": "registry", "project": project_id},
        },
        "storage": _storage(),
        "http": {
            "addr": f":{names.REGISTRY_PORT}",
            # The gateway makes a Location absolute again, with the host that the client used.
            "relativeurls": True,
            "draintimeout": f"{DRAIN_SECONDS}s",
            # One for all replicas and all restarts, or a resumed upload is refused.
            "secret": inputs.http_secret,
            # A port that no NetworkPolicy opens: it serves profiles and internal state.
            "debug": {"addr": f":{DEBUG_PORT}", "prometheus": {"enabled": True, "path": "/metrics"}},
        },
        "auth": {"token": _token(project_id, inputs)},
        "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
        "catalog": {"maxentries": CATALOG_MAX_ENTRIES},
        # What a manifest or index names must exist, or a pull of it fails later for somebody else.
        "validation": {"manifests": {"indexes": {"platforms": "all"}}},
    }


def _storage() -> dict[str, Any]:
    """Storage on the claim. No descriptor cache: it answers for blobs that garbage collection has removed."""
    return {
        "filesystem": {"rootdirectory": DATA_DIR},
        "delete": {"enabled": True},
        "redirect": {"disable": True},
        # All four keys: with one missing the registry does not start.
        "maintenance": {"uploadpurging": {"enabled": True, "age": "168h", "interval": "24h", "dryrun": False}},
    }


def _token(project_id: str, inputs: ProjectInputs) -> dict[str, Any]:
    """How tokens are verified. `autoredirect` is never written: it reflects a forged Host into the realm.

    The CA is trusted, not the key: each token brings its leaf (`x5c`), so the signing key rotates without a restart.
    """
    return {
        "realm": f"https://{inputs.host}/token",
        "service": names.registry_audience(project_id),
        "issuer": ISSUER,
        "rootcertbundle": f"{CONFIG_DIR}/{CA_KEY}",
        "signingalgorithms": ["ES256"],
    }


def dump_config(config: dict[str, Any]) -> str:
    """The configuration as YAML; the same data gives the same text."""
    # libyaml's dumper: the pure one took most of the time of a reconciliation that changes nothing.
    return str(yaml.dump(config, Dumper=yaml.CSafeDumper, sort_keys=True, default_flow_style=False))
