"""Findings about subjects: whether all of them exist, and whether one of them has Administer.

Naming a subject that does not exist yet is not an error: its rule applies as soon as it exists. Groups belong to the
identity provider and ServiceAccounts to the cluster, so Berth takes them to exist.
"""

from __future__ import annotations

from collections.abc import Iterable

from berth.api.conditions import ConditionReason, ConditionType
from berth.api.sharing import Share, SharingLevel
from berth.status.conditions import Finding, name_some, settled
from berth.status.observed import ObservedSubjects


def compute_sharing_subjects(sharing: Iterable[Share], observed: ObservedSubjects) -> Finding:
    """`SubjectsKnown` of a sharing list. Always settled: sharing applies to the subjects that exist."""
    shares = tuple(sharing)
    unknown = unknown_subjects(((share.kind.value, share.name or "") for share in shares), observed)
    is_ignored = not observed.public_allowed and any(share.kind.value == "Public" for share in shares)
    if unknown or not is_ignored:
        return compute_subjects_known(unknown)
    sentence = (
        "Sharing with Public has no effect here: ask the registry administrators to allow it, or remove the entry."
    )
    return settled(ConditionType.SUBJECTS_KNOWN, "False", ConditionReason.PUBLIC_NOT_ALLOWED, sentence)


def compute_subjects_known(unknown: tuple[str, ...]) -> Finding:
    """`SubjectsKnown`, from the subjects that do not exist, each as `User curator`."""
    if not unknown:
        sentence = "Every named user, robot and team exists."
        return settled(ConditionType.SUBJECTS_KNOWN, "True", ConditionReason.SUBJECTS_FOUND, sentence)
    verb = "does" if len(unknown) == 1 else "do"
    sentence = (
        f"{name_some(unknown)} {verb} not exist: correct the name, or create the subject; "
        "the rule applies as soon as it exists."
    )
    return settled(ConditionType.SUBJECTS_KNOWN, "False", ConditionReason.SUBJECTS_NOT_FOUND, sentence)


def unknown_subjects(subjects: Iterable[tuple[str, str]], observed: ObservedSubjects) -> tuple[str, ...]:
    """The subjects (kind and name) that do not exist, each once, in the given order."""
    missing = (f"{kind} {name}" for kind, name in subjects if not _exists(kind, name, observed))
    return tuple(dict.fromkeys(missing))


def compute_administered(sharing: Iterable[Share], observed: ObservedSubjects) -> Finding:
    """`Administered`: whether a subject with Administer exists and can act."""
    for share in sharing:
        kind, name = share.kind.value, share.name or ""
        can_act = _exists(kind, name, observed) and _is_effective(kind, name, observed)
        if share.level is SharingLevel.ADMINISTER and can_act:
            sentence = f"{f'{kind} {name}'.rstrip()} has Administer."
            return settled(ConditionType.ADMINISTERED, "True", ConditionReason.ADMINISTERED, sentence)
    sentence = (
        "No existing subject has Administer: add one in spec.sharing, "
        "for example {kind: User, name: <user>, level: Administer}."
    )
    return settled(ConditionType.ADMINISTERED, "False", ConditionReason.NO_ADMINISTER, sentence)


def _exists(kind: str, name: str, observed: ObservedSubjects) -> bool:
    if kind in ("User", "Robot"):
        user = observed.users.get(name)
        return user is not None and user.is_robot is (kind == "Robot")
    return kind != "Team" or name in observed.teams


def _is_effective(kind: str, name: str, observed: ObservedSubjects) -> bool:
    """Whether an existing subject can act: a user that is not disabled, a team with members."""
    if kind in ("User", "Robot"):
        return not observed.users[name].disabled
    return kind != "Team" or observed.teams[name] > 0
