"""What a refusal says: one sentence for each reason, with what, whose, and the next step. Pure.

A sentence travels in a JSON body, in HTTP headers and through the error output of every client, so it is printable
ASCII of at most 200 characters, without double quotes and backslashes, however long the names in it are: names are
shortened in the middle. It tells nothing but what the person who asked said or may see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.api.sharing import SharingLevel
from berth.api.text import full_name, phrase
from berth.api.token import TokenScope


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What a sentence may speak of. Which of them a reason needs stands in its pattern; others may stay empty."""

    who: str = ""
    project: str = ""
    repository: str = ""  # path below the project; empty: the project itself is meant
    action: Action = Action.VIEW
    is_anonymous: bool = False  # nobody is logged in
    have: SharingLevel | None = None
    need: SharingLevel | None = None
    until: datetime | None = None
    missing: tuple[TokenScope, ...] = ()
    layer: int | None = None  # bytes
    limit: int | None = None  # bytes


@dataclass(frozen=True, slots=True)
class ReasonText:
    """The sentence of one reason and its explanation: `meaning` and `remedy` are for the docs.

    `anonymous_pattern` replaces `pattern` for an anonymous request, if that changes the next step. `short_pattern` is
    used beside the address of the page that explains the decision, where the full sentence does not fit; the address
    contains the names. Empty: no page says more.
    """

    pattern: str
    meaning: str
    remedy: str
    anonymous_pattern: str = ""
    short_pattern: str = ""


REASON_TEXTS: Final[Mapping[Reason, ReasonText]] = MappingProxyType(
    {
        Reason.INVALID_REQUEST: ReasonText(
            "{name} is not a name in this registry; use HOST/<project>/<repository>, in lower case.",
            "The request is not one that a registry client makes: its name, tag, digest, method or encoding is not "
            "allowed by the OCI distribution specification. The sentence says which part is wrong.",
            "Write the image as `HOST/<project>/<repository>:<tag>`. The project id has lower case letters, digits and "
            "hyphens; the repository may have several components separated by `/`.",
        ),
        Reason.BAD_CREDENTIALS: ReasonText(
            "The user name or password is wrong; log in again with your own user name and password.",
            "Credentials were given and are wrong. Wrong credentials are never treated as none.",
            "Log in again (`docker login HOST`). Where a machine asks, replace the Secret that it uses.",
        ),
        Reason.TOO_MANY_ATTEMPTS: ReasonText(
            "There were too many failed logins; wait a few minutes, then log in with the right password.",
            "So many wrong passwords came that further ones are not even tried for a while.",
            "Wait a few minutes. If you did not try yourself, look for a machine that still uses an old password.",
        ),
        Reason.TOKEN_EXPIRED: ReasonText(
            "The token of {who} has expired; log in again with a new one.",
            "The token that was given as the password is a right one, and its time is over (`spec.expiresAt` of the "
            "`AccessToken`, or the end that its issuer wrote into it).",
            "Make a new token (`kubectl berth token create`), or get one where this one came from, and log in with "
            "it. Where a machine asks, replace the Secret that it uses.",
        ),
        Reason.TOKEN_REVOKED: ReasonText(
            "This login is no longer valid, because its token or its user was removed; log in again, with a new token "
            "if you use one.",
            "The credential was right once: its `AccessToken` was deleted or given another secret, or whoever it "
            "belonged to is no longer known to the registry.",
            "Log in again, with a new token or as a user that exists. Ask your registry office if yours should. Where "
            "a machine asks, replace the Secret that it uses.",
        ),
        Reason.USER_DISABLED: ReasonText(
            "The user {who} is disabled; ask your registry office to enable it.",
            "The `RegistryUser` has `spec.disabled: true`.",
            "Ask your registry office.",
        ),
        Reason.ISSUER_UNAVAILABLE: ReasonText(
            "The identity provider {who} does not answer, so its token can not be checked; try again in a minute, or "
            "log in with a password or another token.",
            "The credential is a token of an identity provider of this installation, signed by a key that the access "
            "service does not know yet, or could not read again for 24 hours, and the provider can not be asked for "
            "it. Logins of every other kind go on.",
            "Try again. If it stays so, the operators of the registry find the cause in the log of the access service.",
        ),
        Reason.NOT_AUTHENTICATED: ReasonText(
            "Nobody is logged in, and {name} is not public; log in (docker login) and try again.",
            "The request came without credentials. The answer is the same whether the name exists or not.",
            "Log in (`docker login HOST`). In a cluster, give the pod a pull secret.",
        ),
        Reason.NOT_FOUND: ReasonText(
            "{name} does not exist or is not shared with {who}; check the name, or ask somebody with Administer on "
            "project {project} for access.",
            "There is no such project or repository, or you may not View it. The answer is the same to the letter, so "
            "that nobody learns of a project that is not theirs.",
            "Check the name. Ask somebody with Administer on the project to share it with you.",
        ),
        Reason.PROJECT_TRASHED: ReasonText(
            "Project {project} is in the trash, which refuses everything; ask somebody with Administer to restore it.",
            "The project is in the trash: every operation fails, for everyone, and nothing is lost.",
            "Set `spec.trashed: false` on the `Project`; everything is then as it was.",
            short_pattern="The project is in the trash; ask somebody with Administer to restore it.",
        ),
        Reason.REPOSITORY_TRASHED: ReasonText(
            "{name} is in the trash and refuses everything; ask somebody with EditAndDelete on project {project} to "
            "restore it.",
            "The repository is in the trash: every operation fails, for everyone, and nothing is lost. Its name stays "
            "reserved.",
            "Set `spec.trashed: false` on the `DockerRepository`; everything is then as it was.",
            short_pattern="The repository is in the trash; ask somebody with EditAndDelete to restore it.",
        ),
        Reason.PROJECT_SUSPENDED: ReasonText(
            "Project {project} is suspended and its registry stopped; ask somebody with Administer on it to resume it.",
            "The project has `spec.suspend: true`, so its registry does not run.",
            "Set `spec.suspend: false` on the `Project`.",
            short_pattern="The project is suspended; ask somebody with Administer to resume it.",
        ),
        Reason.EXTERNAL_REPOSITORY: ReasonText(
            "{name} is catalogued but not kept in this registry; use the image that spec.external of its "
            "DockerRepository names.",
            "The `DockerRepository` describes an image that lives in another registry.",
            "Use the address in `spec.external.image`.",
            short_pattern="It is not kept in this registry; use the image that spec.external names.",
        ),
        Reason.CREATION_DECLARED: ReasonText(
            "{name} does not exist, and project {project} creates no repository on push; apply a DockerRepository for "
            "it first.",
            "The project has `spec.repositoryCreation: Declared`, and the push names an undeclared repository.",
            "Apply a `DockerRepository` with that path in the project's namespace, then push again.",
            short_pattern="No push creates a repository in this project; apply a DockerRepository for it first.",
        ),
        Reason.LEVEL_TOO_LOW: ReasonText(
            "{who} has {have} on {name}, and {action} needs {need}; ask somebody with Administer on project {project} "
            "for {need}.",
            "You may see the repository, and your sharing level allows less than you tried. Levels, weakest first: "
            "View, Download (pull), Edit (push), EditAndDelete (delete), Administer.",
            "Ask somebody with Administer on the project for the level that the sentence names. Without a login, log "
            "in first: what is shared with Public is all that you have.",
            anonymous_pattern="Nobody is logged in: the public has {have} on {name}, and {action} needs {need}; log in "
            "(docker login) and try again.",
            short_pattern="{who} has {have}, and {action} needs {need}; ask somebody with Administer for it.",
        ),
        Reason.NOT_CERTIFIED: ReasonText(
            "{who} may edit {name} but is not certified to push; ask your registry office for a Certification.",
            "Your level allows a push, and no `Certification` names you. Certification gates push alone, never pull.",
            "Ask your registry office for a `Certification`. It counts from the moment that it is applied.",
            short_pattern="{who} is not certified to push; ask your registry office for a Certification.",
        ),
        Reason.CERTIFICATION_EXPIRED: ReasonText(
            "{who} may edit {name}, but the certification to push ended at {until}; ask your registry office for a new "
            "Certification.",
            "Your level allows a push, and the last `Certification` that names you has ended (`spec.validUntil`).",
            "Ask your registry office for a new `Certification`.",
            short_pattern="The certification of {who} ended at {until}; ask your registry office for a new one.",
        ),
        Reason.TOKEN_SCOPE_MISSING: ReasonText(
            "The token of {who} lacks the scope {missing}, which {action} on {name} needs; use a token that has it.",
            "You may do it, and the token that you use may not. Pull needs `download`, push needs `download` and "
            "`modify`, delete needs `modify`.",
            "Use a token with the scope that the sentence names.",
            short_pattern="The token of {who} lacks the scope {missing}; use a token that has it.",
        ),
        Reason.LAYER_TOO_LARGE: ReasonText(
            "{name} got a layer of {layer}, and its project allows {limit}; split it, or ask somebody with Administer "
            "to raise spec.limits.layerSize.",
            "One layer of the image is larger than the project allows.",
            "Split the layer, keep data out of the image, or ask somebody with Administer on the project to raise "
            "`spec.limits.layerSize`.",
        ),
        Reason.POLICY_STALE: ReasonText(
            "The registry can not reach its cluster, so its policy may be out of date and {name} takes no changes; "
            "pulls go on; try again in some minutes.",
            "The access service has heard nothing of the cluster for longer than `BERTH_POLICY_MAX_AGE`, so it does "
            "not know whether a right was taken away. Pulls go on by the last policy known; pushes and deletes wait.",
            "Try again. If it stays so, the operators of the registry find the cause in the log of the access service.",
        ),
        Reason.CATALOG_UNAVAILABLE: ReasonText(
            "The catalog can not record this change to {name} at the moment, so it was refused; try again in a minute.",
            "No push or delete succeeds unrecorded. The catalog did not answer for some seconds, so the change was "
            "refused; pulls go on.",
            "Try again. If it stays so, the operators of the registry find the cause in the catalog's log.",
        ),
    }
)
"""The reasons that this version can tell, in the order of the chain."""


def sentence(reason: Reason, facts: MessageFacts | None = None) -> str:
    """The sentence of a reason with these facts: printable ASCII, at most `MAX_LENGTH` characters.

    Raises `KeyError` for a reason that this version does not tell (`REASON_TEXTS` has those that it does).
    """
    known = facts if facts is not None else MessageFacts()
    wording = REASON_TEXTS[reason]
    pattern = wording.anonymous_pattern if known.is_anonymous and wording.anonymous_pattern else wording.pattern
    return phrase(pattern, **_fields(known))


def short_sentence(reason: Reason, facts: MessageFacts) -> str:
    """The shortest sentence of a reason, for use beside the address of its page; empty where there is none."""
    wording = REASON_TEXTS[reason]
    if facts.is_anonymous and wording.anonymous_pattern:
        return ""
    return phrase(wording.short_pattern, **_fields(facts))


def size_text(size: int) -> str:
    """A size in bytes as people read it, in decimal units (`2 GB`, `1.5 MB`), exact to three digits."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.4g} PB"


def _fields(facts: MessageFacts) -> dict[str, str]:
    layer, limit = _sizes(facts.layer, facts.limit)
    return {
        "who": facts.who or "this login",
        "name": full_name(facts.project, facts.repository) or "this request",
        "project": facts.project,
        "action": facts.action.value,
        "have": facts.have.value if facts.have is not None else "no level",
        "need": facts.need.value if facts.need is not None else "a higher level",
        "until": facts.until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if facts.until is not None else "",
        "missing": " and ".join(facts.missing),
        "layer": layer,
        "limit": limit,
    }


def _sizes(layer: int | None, limit: int | None) -> tuple[str, str]:
    """Both sizes, to the byte where rounding would make them look equal."""
    if layer is None or limit is None:
        return "unknown size" if layer is None else size_text(layer), "less" if limit is None else size_text(limit)
    if size_text(layer) == size_text(limit):
        return f"{layer} bytes", f"{limit} bytes"
    return size_text(layer), size_text(limit)
