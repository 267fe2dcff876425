"""Who is a member in the cluster: sharing, resolved to Kubernetes identities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from berth.api.sharing import Share, SharingLevel, SubjectKind
from berth.api.user import RegistryUser
from berth.desired.inputs import Member, MemberKind


def members_by_level(
    sharing: Iterable[Share], users: Mapping[str, RegistryUser]
) -> dict[SharingLevel, tuple[Member, ...]]:
    """The Kubernetes identities behind each level, by the `spec.kubernetes` of the users that are named.

    Disabled and unknown users give none. `AuthenticatedUsers` gives none either: it means everybody with a login to
    the registry, and the cluster's `system:authenticated` is another, larger set.
    """
    found: dict[SharingLevel, set[Member]] = {}
    for share in sharing:
        user = users.get(share.name or "") if share.kind is SubjectKind.USER else None
        if user is None or user.spec.disabled:
            continue
        found.setdefault(share.level, set()).update(kubernetes_identities(user))
    return {level: tuple(sorted(members)) for level, members in found.items() if members}


def kubernetes_identities(user: RegistryUser) -> tuple[Member, ...]:
    """The names under which the cluster knows a user."""
    identity = user.spec.kubernetes
    if identity is None:
        return ()
    accounts = (entry.partition("/") for entry in identity.service_accounts)
    return (
        *(Member(MemberKind.USER, name) for name in identity.users),
        *(Member(MemberKind.GROUP, name) for name in identity.groups),
        *(Member(MemberKind.SERVICE_ACCOUNT, name, namespace) for namespace, _, name in accounts),
    )
