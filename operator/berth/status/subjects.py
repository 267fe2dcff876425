"""Whether everybody that sharing or a team names exists, and whether somebody may administer.

A subject that does not exist is no error: it counts from the moment that it appears. Groups are the identity
provider's and ServiceAccounts the cluster's; nothing here can know whether those exist.
"""

from __future__ import annotations

from collections.abc import Iterable

from berth.api.conditions import ConditionReason, ConditionType
from berth.api.sharing import Share, SharingLevel
from berth.status.conditions import Finding, quote, settled
from berth.status.observed import ObservedPeople

_SHOWN = 10


def judge_sharing(sharing: Iterable[Share], people: ObservedPeople) -> Finding:
    """`SubjectsKnown` of a sharing list. Always settled: sharing is in force for whoever exists."""
    shares = tuple(sharing)
    unknown = unknown_subjects(((share.kind.value, share.name or "") for share in shares), people)
    ignored = not people.public_allowed and any(share.kind.value == "Public" for share in shares)
    if unknown or not ignored:
        return judge_known(unknown)
    sentence = (
        "Sharing with Public counts for nothing here: ask the operators of the registry to allow it, or remove it."
    )
    return settled(ConditionType.SUBJECTS_KNOWN, "False", ConditionReason.PUBLIC_NOT_ALLOWED, sentence)


def judge_known(unknown: tuple[str, ...]) -> Finding:
    """`SubjectsKnown`, of the subjects that were not found, each as `User curator`."""
    about = ConditionType.SUBJECTS_KNOWN
    if not unknown:
        sentence = "Every user, robot and team that is named exists."
        return settled(about, "True", ConditionReason.SUBJECTS_FOUND, sentence)
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    named = quote(", ".join(unknown[:_SHOWN]), 1000)
    verb = "does" if len(unknown) == 1 else "do"
    sentence = f"{named}{more} {verb} not exist: correct the name, or wait; what is shared counts from when it appears."
    return settled(about, "False", ConditionReason.SUBJECTS_NOT_FOUND, sentence)


def unknown_subjects(subjects: Iterable[tuple[str, str]], people: ObservedPeople) -> tuple[str, ...]:
    """Those of the subjects (kind and name) that do not exist, each once, in the order in which they are named."""
    missing = (f"{kind} {name}" for kind, name in subjects if not _exists(kind, name, people))
    return tuple(dict.fromkeys(missing))


def judge_administered(sharing: Iterable[Share], people: ObservedPeople) -> Finding:
    """`Administered`: whether somebody who exists, is not disabled and can log in has Administer."""
    about = ConditionType.ADMINISTERED
    for share in sharing:
        kind, name = share.kind.value, share.name or ""
        if share.level is SharingLevel.ADMINISTER and _exists(kind, name, people) and _counts(kind, name, people):
            sentence = f"{f'{kind} {name}'.rstrip()} has Administer."
            return settled(about, "True", ConditionReason.ADMINISTERED, sentence)
    sentence = (
        "Nobody who exists has Administer: give it to somebody in spec.sharing, "
        "for example {kind: User, name: <user>, level: Administer}."
    )
    return settled(about, "False", ConditionReason.NO_ADMINISTER, sentence)


def _exists(kind: str, name: str, people: ObservedPeople) -> bool:
    if kind in ("User", "Robot"):
        user = people.users.get(name)
        return user is not None and user.robot is (kind == "Robot")
    return kind != "Team" or name in people.teams


def _counts(kind: str, name: str, people: ObservedPeople) -> bool:
    """Whether what exists can do something: an enabled user, a team with members."""
    if kind in ("User", "Robot"):
        return not people.users[name].disabled
    return kind != "Team" or people.teams[name] > 0
