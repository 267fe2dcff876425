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
"""How long transfers may continue after SIGTERM; the pod's grace period is longer."""

CATALOG_MAX_ENTRIES: Final = 1000
"""Largest page of `_catalog`. Distribution refuses a larger `n`, so the registry walk requests this many."""


def registry_config(project_id: str, inputs: ProjectInputs) -> dict[str, Any]:
    """The configuration of one project's registry."""
    return {
        "version": "0.1",
        "log": {
            "level": "info",
            "formatter": "json",
            # It writes Apache lines between the JSON lines, and the JSON log already has one for each response.
            "accesslog": {"disabled": True},
            "fields": {"service": "registry", "project": project_id},
        },
        "storage": _storage(),
        "http": {
            "addr": f":{names.REGISTRY_PORT}",
            # The gateway makes a Location absolute, with the host that the client used.
            "relativeurls": True,
            "draintimeout": f"{DRAIN_SECONDS}s",
            # The same for all replicas and restarts, or a resumed upload is refused.
            "secret": inputs.http_secret,
            # No NetworkPolicy opens this port: it serves profiles and internal state.
            "debug": {"addr": f":{DEBUG_PORT}", "prometheus": {"enabled": True, "path": "/metrics"}},
        },
        "auth": {"token": _token(project_id, inputs)},
        "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
        "catalog": {"maxentries": CATALOG_MAX_ENTRIES},
        # Everything that a manifest or index references must exist, or a later pull fails.
        "validation": {"manifests": {"indexes": {"platforms": "all"}}},
    }


def _storage() -> dict[str, Any]:
    """Storage on the claim. No descriptor cache: it still reports blobs that garbage collection has removed."""
    return {
        "filesystem": {"rootdirectory": DATA_DIR},
        "delete": {"enabled": True},
        "redirect": {"disable": True},
        # All four keys are required: the registry does not start without one of them.
        "maintenance": {"uploadpurging": {"enabled": True, "age": "168h", "interval": "24h", "dryrun": False}},
    }


def _token(project_id: str, inputs: ProjectInputs) -> dict[str, Any]:
    """Token verification. `autoredirect` is never set: it reflects a forged Host header in the realm.

    The registry trusts the CA, not the key: each token carries its leaf (`x5c`), so rotating the signing key needs no
    restart.
    """
    return {
        "realm": f"https://{inputs.host}/token",
        "service": names.registry_audience(project_id),
        "issuer": ISSUER,
        "rootcertbundle": f"{CONFIG_DIR}/{CA_KEY}",
        "signingalgorithms": ["ES256"],
    }


def dump_config(config: dict[str, Any]) -> str:
    """The configuration as YAML. The same data gives the same text."""
    # libyaml's dumper: the pure Python one took most of the time of a reconcile that changes nothing.
    return str(yaml.dump(config, Dumper=yaml.CSafeDumper, sort_keys=True, default_flow_style=False))
