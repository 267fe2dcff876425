"""Tokens of Berth's own, with which people log in in place of a password."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from berth.api.base import rfc3339
from berth.authz.token_format import RANDOM_BYTES, make_token, token_sha256
from e2e.suite.world import Person


def new_secret() -> str:
    """A new token, unknown to the cluster."""
    return make_token(secrets.token_bytes(RANDOM_BYTES))


def access_token(
    name: str, owner: Person, secret: str, scopes: Sequence[str], end: datetime | None = None
) -> dict[str, Any]:
    """The AccessToken with which this secret logs its owner in."""
    spec: dict[str, Any] = {
        "owner": {"kind": "User", "name": owner.name},
        "scopes": list(scopes),
        "sha256": token_sha256(secret),
    }
    if end is not None:
        spec["expiresAt"] = rfc3339(end)
    return {"apiVersion": "berth.dev/v1alpha1", "kind": "AccessToken", "metadata": {"name": name}, "spec": spec}
