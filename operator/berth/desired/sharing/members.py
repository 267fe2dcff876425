"""Resolve sharing to Kubernetes identities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from berth.api.sharing import Share, SharingLevel
from berth.api.team import RegistryTeam
from berth.api.user import RegistryUser, UserType
from berth.desired.inputs import Member, RbacSubjectKind

SYSTEM_PREFIX = "system:"
"""Prefix of Kubernetes' own groups (`system:masters`, `system:authenticated`). They belong to no identity provider, so
sharing with one of them has no effect."""


def members_by_level(
    sharing: Iterable[Share], users: Mapping[str, RegistryUser], teams: Mapping[str, RegistryTeam]
) -> dict[SharingLevel, tuple[Member, ...]]:
    """The Kubernetes identities of each level.

    Users and robots have those of their `spec.kubernetes`, groups and ServiceAccounts are their own, teams have those
    of their members. Disabled and unknown users have none. `AuthenticatedUsers` and `Public` have none: logins to the
    registry differ from the cluster's `system:authenticated`.
    """
    found: dict[SharingLevel, set[Member]] = {}
    for share in sharing:
        found.setdefault(share.level, set()).update(_identities(share.kind.value, share.name or "", users, teams))
    return {level: tuple(sorted(members)) for level, members in found.items() if members}


def _identities(
    kind: str, name: str, users: Mapping[str, RegistryUser], teams: Mapping[str, RegistryTeam]
) -> Iterator[Member]:
    if kind == "Team" and name in teams:
        for member in teams[name].spec.members:
            yield from _identities(member.kind.value, member.name, users, {})
    elif kind == "ServiceAccount":
        namespace, _, account = name.partition("/")
        yield Member(RbacSubjectKind.SERVICE_ACCOUNT, account, namespace)
    elif kind == "Group" and not name.startswith(SYSTEM_PREFIX):
        yield Member(RbacSubjectKind.GROUP, name)
    elif kind in ("User", "Robot") and name in users:
        user = users[name]
        if not user.spec.disabled and (user.spec.type is UserType.ROBOT) is (kind == "Robot"):
            yield from kubernetes_identities(user)


def kubernetes_identities(user: RegistryUser) -> tuple[Member, ...]:
    """The Kubernetes identities of a user."""
    identity = user.spec.kubernetes
    if identity is None:
        return ()
    accounts = (entry.partition("/") for entry in identity.service_accounts)
    return (
        *(Member(RbacSubjectKind.USER, name) for name in identity.users),
        *(Member(RbacSubjectKind.GROUP, name) for name in identity.groups),
        *(Member(RbacSubjectKind.SERVICE_ACCOUNT, name, namespace) for namespace, _, name in accounts),
    )
