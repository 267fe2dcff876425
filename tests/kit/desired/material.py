"""The installation's key material, written and read back, for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from berth.desired.installation import keys
from berth.desired.installation.authority import SuccessorRollout
from berth.desired.installation.manifests import (
    FoundMaterial,
    Material,
    complete_material,
    desired_installation,
    read_material,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=1)
HOST = "images.example.org"
ROTATE_KEY, ROTATE_CA, FORGET = (
    "berth.dev/rotate-signing-key",
    "berth.dev/rotate-authority",
    "berth.dev/forget-authorities",
)
EVERYWHERE = SuccessorRollout(is_complete=True, overlap=timedelta(0))


def completed(found: FoundMaterial, now: datetime = NOW, host: str = HOST, *, tls: bool = True) -> Material:
    return complete_material(found, host, now, generate_tls=tls)


def found_again(material: Material) -> FoundMaterial:
    """The written material, read back."""
    return read_material(secrets_of(material))


def secrets_of(material: Material) -> dict[str, dict[str, Any]]:
    return {m["metadata"]["name"]: m for m in written(material) if m["kind"] == "Secret"}


def standby_of(material: Material) -> keys.KeyPair:
    assert material.token_ca.successor is not None
    return material.token_ca.successor


def rotated(material: Material, now: datetime, value: str = "1") -> Material:
    """The material after the request of a new token authority that every registry trusts."""
    found = annotate(material, "berth-token-ca", ROTATE_CA, value)
    return complete_material(found, HOST, now, generate_tls=True, rollout=EVERYWHERE)


def written(material: Material) -> tuple[dict[str, Any], ...]:
    return desired_installation(material, "berth-system", "berth", "0.1.0")


def annotate(material: Material, secret: str, annotation: str, value: str) -> FoundMaterial:
    """The written material with an annotation on one of its Secrets."""
    secrets = secrets_of(material)
    metadata = secrets[secret]["metadata"]
    annotations = {**metadata.get("annotations", {}), annotation: value}
    secrets[secret] = {**secrets[secret], "metadata": {**metadata, "annotations": annotations}}
    return read_material(secrets)
