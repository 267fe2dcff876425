"""The grant of a registry token: the requested scopes that `decide` allows. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from berth.api.policy import Action
from berth.authz.actor import Actor, actor_of
from berth.authz.decide import is_allowed
from berth.authz.model import AccessRequest, Identity, Snapshot
from berth.oci.request import split_name
from berth.oci.scope import CATALOG, REGISTRY, REPOSITORY, Scope

_ACTIONS: Final = {"pull": Action.PULL, "push": Action.PUSH, "delete": Action.DELETE}
_ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry of a token's `access` claim, in Distribution's terms."""

    type: str
    name: str
    actions: tuple[str, ...]

    @property
    def project(self) -> str:
        """The project whose registry the entry is for; empty for no project."""
        return self.name.partition("/")[0] if self.type == REPOSITORY else ""


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """What a token grants, and the requested actions for each repository."""

    access: tuple[Grant, ...]
    requested: Mapping[str, tuple[str, ...]]


def grant(
    snapshot: Snapshot, identity: Identity, scopes: Sequence[Scope], now: datetime, *, absent: Collection[str] = ()
) -> TokenGrant:
    """Grant the part of `scopes` that `identity` may have. Denied actions are left out; that is never an error.

    `absent` has the full names under which nothing was ever pushed (`AccessRequest.absent`).
    `registry:catalog:*` is granted to Berth's own processes alone, because a project's registry lists every repository.
    """
    actor = actor_of(snapshot, identity, now)
    granted = (
        Grant(scope.type, scope.name, _allowed(snapshot, actor, scope, now, scope.name in absent)) for scope in scopes
    )
    return TokenGrant(
        access=tuple(entry for entry in granted if entry.actions),
        requested={scope.name: _expanded_actions(scope) for scope in scopes if scope.type == REPOSITORY},
    )


def _expanded_actions(scope: Scope) -> tuple[str, ...]:
    """The requested actions, with `*` replaced by all of them (Distribution, `registry/auth/token/util.go`)."""
    every = tuple(_ACTIONS) if _ANY in scope.actions else ()
    return tuple(dict.fromkeys((*(action for action in scope.actions if action != _ANY), *every)))


def _allowed(snapshot: Snapshot, actor: Actor, scope: Scope, now: datetime, absent: bool) -> tuple[str, ...]:
    if scope.type == REGISTRY and scope.name == CATALOG:
        return tuple(action for action in scope.actions if action == _ANY and actor.is_service)
    parts = split_name(scope.name) if scope.type == REPOSITORY else None
    if parts is None:
        return ()
    return tuple(
        action
        for action in _expanded_actions(scope)
        if action in _ACTIONS
        and is_allowed(snapshot, actor, AccessRequest(_ACTIONS[action], *parts, absent=absent), now)
    )
