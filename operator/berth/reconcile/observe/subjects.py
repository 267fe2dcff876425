"""The users and teams that an object names, from the caches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from berth.api.certification import Certification
from berth.api.sharing import Share, SubjectKind
from berth.api.team import RegistryTeam
from berth.api.user import RegistryUser, UserType
from berth.kube.resources import CERTIFICATIONS, REGISTRY_TEAMS, REGISTRY_USERS, Resource
from berth.reconcile.observe.decode import DecodeError, ModelT, decode
from berth.reconcile.watch.caches import Caches
from berth.status.observed import ObservedCertification, ObservedSubjects, ObservedUser

_OF_USERS: Final = frozenset({"User", "Robot"})


def named_teams(sharing: Iterable[Share], caches: Caches) -> dict[str, RegistryTeam]:
    """The teams in a sharing list that exist and can be decoded."""
    object_names = {share.name for share in sharing if share.kind is SubjectKind.TEAM and share.name}
    return _found(RegistryTeam, REGISTRY_TEAMS, object_names, caches)


def named_users(sharing: Iterable[Share], teams: Mapping[str, RegistryTeam], caches: Caches) -> dict[str, RegistryUser]:
    """The users and robots in a sharing list, directly or by a team, that exist."""
    members = ((member.kind.value, member.name) for team in teams.values() for member in team.spec.members)
    named = (*sharing_subjects(sharing), *members)
    return _found(RegistryUser, REGISTRY_USERS, {name for kind, name in named if kind in _OF_USERS and name}, caches)


def observe_people(subjects: Iterable[tuple[str, str]], caches: Caches, *, public_allowed: bool) -> ObservedSubjects:
    """The users and teams among subjects (kind, name) that exist."""
    wanted = tuple(subjects)
    users = _found(RegistryUser, REGISTRY_USERS, {name for kind, name in wanted if kind in _OF_USERS}, caches)
    teams = _found(RegistryTeam, REGISTRY_TEAMS, {name for kind, name in wanted if kind == "Team"}, caches)
    return ObservedSubjects(
        users={
            name: ObservedUser(user.spec.type is UserType.ROBOT, user.spec.disabled) for name, user in users.items()
        },
        teams={name: len(team.spec.members) for name, team in teams.items()},
        public_allowed=public_allowed,
    )


def sharing_subjects(sharing: Iterable[Share]) -> tuple[tuple[str, str], ...]:
    """Kind and name of each subject in a sharing list."""
    return tuple((share.kind.value, share.name or "") for share in sharing)


def observe_user(kind: str, name: str, caches: Caches) -> ObservedUser | None:
    """The RegistryUser of that name, if it is of that type."""
    user = observe_people([(kind, name)], caches, public_allowed=False).users.get(name)
    return user if user is not None and user.is_robot is (kind == "Robot") else None


def user_certifications(
    user: RegistryUser, naming_user: Iterable[str], caches: Caches
) -> tuple[ObservedCertification, ...]:
    """The certifications that hold for a user, of those that name it; one that cannot be decoded certifies no one.

    A Person is certified as kind User and a Robot as kind Robot.
    """
    kind = "Robot" if user.spec.type is UserType.ROBOT else "User"
    found = _found(Certification, CERTIFICATIONS, sorted(naming_user), caches)
    return tuple(
        ObservedCertification(name, certification.spec.valid_until)
        for name, certification in found.items()
        if certification.spec.subject.kind.value == kind
    )


def _found(model: type[ModelT], resource: Resource, object_names: Iterable[str], caches: Caches) -> dict[str, ModelT]:
    """Objects by name, without those that do not exist, are being deleted, or cannot be decoded."""
    found: dict[str, ModelT] = {}
    for name in object_names:
        live = caches.live(resource, ("", name))
        if live is None or "deletionTimestamp" in live["metadata"]:
            continue
        with suppress(DecodeError):
            found[name] = decode(model, live)
    return found
