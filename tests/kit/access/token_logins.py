"""Logins by tokens in place of passwords: an AccessToken of ann, and a ServiceAccount token of a Pod."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jwt

from berth.api.sharing import SubjectKind
from berth.api.token import TokenScope
from berth.authz.model import AccessTokenRecord, Snapshot, Subject
from berth.authz.token_format import make_token, token_sha256
from tests.kit.access.world import CLUSTER_KEY, HOST, ISSUER, World

LAPTOP = make_token(b"1" * 32)
EVERYTHING = frozenset(TokenScope)


def give_token(world: World, scopes: frozenset[TokenScope] = EVERYTHING, **fields: Any) -> None:
    """LAPTOP is a token of ann."""
    record = AccessTokenRecord("ann-laptop", Subject(SubjectKind.USER, "ann"), scopes, **fields)
    change(world, tokens={token_sha256(LAPTOP): record})


def change(world: World, **fields: Any) -> None:
    """The next generation of the policy."""
    snapshot: Snapshot = world.snapshot
    world.snapshot = replace(snapshot, generation=snapshot.generation + 1, **fields)


def pod_token(world: World, audience: str = HOST, name: str = "builders:ci", **more: Any) -> str:
    """A ServiceAccount token as a Pod has it."""
    present = {"iss": ISSUER, "aud": [audience], "sub": f"system:serviceaccount:{name}", "exp": world.time + 600}
    return jwt.encode({**present, **more}, CLUSTER_KEY, algorithm="RS256", headers={"kid": "cluster"})
