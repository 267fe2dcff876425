"""The claims of registry tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from berth.api.names import registry_audience
from berth.api.reasons import Reason
from berth.api.sharing import SubjectKind
from berth.api.token import TokenScope
from berth.authz.model import CredentialKind, Identity

ISSUER: Final = "berth"
NO_AUDIENCE: Final = "berth"
"""The audience of a token that grants nothing, so that no registry accepts it."""


@dataclass(frozen=True, slots=True)
class GrantedToken:
    """The content of a token: identity, requested and granted actions.

    Actions are by full repository name.
    """

    identity: Identity
    requested: Mapping[str, frozenset[str]]
    granted: Mapping[str, frozenset[str]]
    expires: float = 0.0  # seconds since the epoch

    def grants(self, name: str, actions: Sequence[str]) -> bool:
        """Whether the token grants all these actions on this repository."""
        return self.granted.get(name, frozenset()).issuperset(actions)


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token without its times and its id.

    Encoded once for many tokens. See `claims_of`.
    """

    rest: bytes  # the members of the JSON object, without its first brace


def claims_of(
    identity: Identity,
    requested: Mapping[str, Sequence[str]],
    access: Sequence[Mapping[str, Any]],
    projects: Sequence[str],
) -> Claims:
    """The claims of a token with this grant, for these projects.

    `access` is in Distribution's form.
    """
    claims = {
        "iss": ISSUER,
        "sub": identity.name,
        "aud": [registry_audience(project) for project in projects] or [NO_AUDIENCE],
        "access": list(access),
        "berth": {**_identity_claims(identity), "denied": _denied(requested, access)},
    }
    return Claims(json.dumps(claims, separators=(",", ":")).encode("ascii")[1:])


def granted_token(claims: Mapping[str, Any]) -> GrantedToken:
    """The content of a token with these verified claims.

    Raises KeyError, ValueError, TypeError or AttributeError.
    """
    own = claims["berth"]
    granted: dict[str, frozenset[str]] = {}
    for entry in claims["access"]:
        if entry["type"] == "repository":
            granted[entry["name"]] = granted.get(entry["name"], frozenset()) | frozenset(entry["actions"])
    identity = _identity(str(claims["sub"]), own)
    denied = {name: frozenset(actions) for name, actions in own["denied"].items()}
    requested = {name: granted.get(name, frozenset()) | denied.get(name, frozenset()) for name in (*granted, *denied)}
    return GrantedToken(identity=identity, requested=requested, granted=granted, expires=float(claims["exp"]))


def _denied(requested: Mapping[str, Sequence[str]], access: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Requested and not granted.

    Only these, because a token has to fit into a header.
    """
    granted = {entry["name"]: entry["actions"] for entry in access}
    denied = {
        name: [action for action in actions if action not in granted.get(name, ())]
        for name, actions in requested.items()
    }
    return {name: actions for name, actions in denied.items() if actions}


def _identity_claims(identity: Identity) -> dict[str, Any]:
    """The fields of an identity without its name, which is the token's subject.

    Empty optional fields are left out.
    """
    optional = {
        "groups": sorted(identity.groups),
        "token": identity.token,
        "sha256": identity.token_sha256,
        "until": identity.expires_at.timestamp() if identity.expires_at else None,
    }
    return {
        "cred": identity.credential.value,
        "kind": identity.kind.value,
        "scopes": sorted(scope.value for scope in identity.scopes),
        "failure": identity.failure.value if identity.failure else None,
        **{name: value for name, value in optional.items() if value},
    }


def _identity(name: str, own: Mapping[str, Any]) -> Identity:
    return Identity(
        credential=CredentialKind(own["cred"]),
        name=name,
        scopes=frozenset(TokenScope(scope) for scope in own["scopes"]),
        failure=Reason(own["failure"]) if own["failure"] else None,
        kind=SubjectKind(own["kind"]),
        groups=frozenset(str(group) for group in own.get("groups", ())),
        token=str(own.get("token", "")),
        token_sha256=str(own.get("sha256", "")),
        expires_at=datetime.fromtimestamp(own["until"], UTC) if "until" in own else None,
    )
