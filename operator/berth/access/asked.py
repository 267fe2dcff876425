"""What people write when they ask about access: an image, and somebody. Pure.

The command line and the explanation page read both here, so that what works in one works in the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from berth.authz.messages import full_name, phrase
from berth.authz.model import AUTHENTICATED_USERS, PUBLIC, Snapshot, Subject, SubjectKind, User

SUBJECT_FORM: Final = (
    "a RegistryUser's name, user:NAME, robot:NAME, serviceaccount:NAMESPACE/NAME, group:NAME, AuthenticatedUsers or "
    "Public"
)

_SCHEMES: Final = ("docker://", "oci://", "https://")
_NAMELESS: Final = {subject.kind.value: subject for subject in (AUTHENTICATED_USERS, PUBLIC)}
_PREFIXES: Final = {
    kind.value.lower(): kind
    for kind in (SubjectKind.USER, SubjectKind.ROBOT, SubjectKind.SERVICE_ACCOUNT, SubjectKind.GROUP)
}
_KUBERNETES_ACCOUNT: Final = "system:serviceaccount:"


class UnknownSubject(ValueError):  # noqa: N818 - named for what was asked
    """Nobody goes by what was written. `sentence` says what to write instead."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image as it was written, in its parts. Whether project and repository are names, `decide` judges."""

    host: str  # empty: not written
    project: str
    repository: str  # path below the project; empty: the project itself is meant
    reference: str  # tag or digest; empty: not written

    @property
    def name(self) -> str:
        """`project/repository`."""
        return full_name(self.project, self.repository)


def parse_image(text: str) -> ImageName:
    """Take `[HOST/]PROJECT[/REPOSITORY][:TAG][@DIGEST]` apart. Never refuses.

    The first component is a host if it holds a dot or a colon or is `localhost`, as in every client; project ids have
    neither.
    """
    for scheme in _SCHEMES:
        text = text.removeprefix(scheme)
    name, _, digest = text.partition("@")
    first, slash, rest = name.partition("/")
    host = ""
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, name = first, rest
    folder, _, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    project, _, repository = full_name(folder, last).partition("/") if folder else (last, "", "")
    return ImageName(host, project, repository, digest or tag)


def subject_named(text: str, snapshot: Snapshot) -> Subject:
    """Whom `text` means. A bare name is that of a RegistryUser or a name that one lists in `spec.kubernetes.users`.

    Raises UnknownSubject for nobody, and where the kind that was written is not that of the RegistryUser.
    """
    if text in _NAMELESS:
        return _NAMELESS[text]
    if text.startswith(_KUBERNETES_ACCOUNT):
        return Subject(SubjectKind.SERVICE_ACCOUNT, text.removeprefix(_KUBERNETES_ACCOUNT).replace(":", "/", 1))
    prefix, colon, name = text.partition(":")
    kind = _PREFIXES.get(prefix.lower()) if colon else None
    if kind is None:
        return _bare(text, snapshot)
    if not name or (kind is SubjectKind.SERVICE_ACCOUNT and name.count("/") != 1):
        raise UnknownSubject(
            phrase(f"{{text}} is not a form of asking about somebody; write {SUBJECT_FORM}.", text=text)
        )
    user = snapshot.users.get(name)
    if kind is SubjectKind.ROBOT and user is None:
        raise UnknownSubject(phrase("There is no RegistryUser {name} of type Robot; check the name.", name=name))
    if kind in (SubjectKind.USER, SubjectKind.ROBOT) and user is not None and user.subject.kind is not kind:
        raise UnknownSubject(_other_type(user))
    return Subject(kind, name)


def _bare(name: str, snapshot: Snapshot) -> Subject:
    user = snapshot.users.get(name)
    if user is not None:
        return user.subject
    outside = Subject(SubjectKind.USER, name)
    if outside in snapshot.aliases:
        return outside
    raise UnknownSubject(
        phrase(
            "There is no RegistryUser {name}; check the name, or write user:{name} for somebody whom only the identity "
            "provider knows.",
            name=name or "(empty)",
        )
    )


def _other_type(user: User) -> str:
    kind = user.subject.kind
    written = f"{kind.value.lower()}:{user.name}"
    return phrase(
        "The RegistryUser {name} is of type {type}; write {written}.",
        name=user.name,
        type="Robot" if user.robot else "Person",
        written=written,
    )
