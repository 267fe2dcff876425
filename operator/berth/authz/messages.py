"""The sentences of refusals: one for each reason, with what is refused, to which user, and the next step. Pure.

A sentence travels in a JSON body, in HTTP headers and through the error output of every client. So it is printable
ASCII of at most 200 characters, without double quotes and backslashes; long names are shortened in the middle. It
contains only what the caller sent or may see.
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
    """The values for the fields of a sentence. A reason needs those in its pattern; others may stay empty."""

    who: str = ""
    project: str = ""
    repository: str = ""  # path below the project; empty: the project itself
    action: Action = Action.VIEW
    is_anonymous: bool = False  # the request has no credentials
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
            "The request is not valid: its name, tag, digest, method or encoding is not allowed by the OCI "
            "distribution specification. The sentence says which part is wrong.",
            "Write the image as `HOST/<project>/<repository>:<tag>`. The project id has lower case letters, digits and "
            "hyphens; the repository may have several components separated by `/`.",
        ),
        Reason.BAD_CREDENTIALS: ReasonText(
            "The user name or password is wrong; log in again with your own user name and password.",
            "The request has credentials, and they are wrong. Wrong credentials are never treated as none.",
            "Log in again (`docker login HOST`). For a machine, replace the Secret that it uses.",
        ),
        Reason.TOO_MANY_ATTEMPTS: ReasonText(
            "There were too many failed logins; wait a few minutes, then log in with the right password.",
            "After too many wrong passwords, further logins are refused for some minutes without a check.",
            "Wait a few minutes. If you did not try to log in, look for a machine that still uses an old password.",
        ),
        Reason.TOKEN_EXPIRED: ReasonText(
            "The token of {who} has expired; log in again with a new one.",
            "The token in the password field is genuine and has expired (`spec.expiresAt` of the `AccessToken`, or the "
            "expiry that its issuer set).",
            "Make a new token (`kubectl berth token create`), or get one from the issuer of the old one, and log in "
            "with it. For a machine, replace the Secret that it uses.",
        ),
        Reason.TOKEN_REVOKED: ReasonText(
            "This login is no longer valid, because its token or its user was removed; log in again, with a new token "
            "if you use one.",
            "The credential was valid before. Its `AccessToken` was deleted or has another hash now, or its user was "
            "removed from the registry.",
            "Log in again, with a new token or as a user that exists. If your user should exist, ask your registry "
            "administrators. For a machine, replace the Secret that it uses.",
        ),
        Reason.USER_DISABLED: ReasonText(
            "The user {who} is disabled; ask your registry administrators to enable it.",
            "The `RegistryUser` has `spec.disabled: true`.",
            "Ask your registry administrators.",
        ),
        Reason.ISSUER_UNAVAILABLE: ReasonText(
            "The identity provider {who} does not answer, so its token cannot be checked; try again in a minute, or "
            "log in with a password or another token.",
            "The credential is a token of an identity provider of this installation. The access service does not have "
            "the key that signed it, or could not read the provider's keys again for 24 hours, and cannot reach the "
            "provider now. All other kinds of login still work.",
            "Try again. If the error stays, the operators of the registry find the cause in the log of the access "
            "service.",
        ),
        Reason.NOT_AUTHENTICATED: ReasonText(
            "You are not logged in, and {name} is not public; log in (docker login) and try again.",
            "The request has no credentials. The response is the same whether the name exists or not.",
            "Log in (`docker login HOST`). In a cluster, give the Pod a pull secret.",
        ),
        Reason.NOT_FOUND: ReasonText(
            "{name} does not exist or is not shared with {who}; check the name, or ask someone with Administer on "
            "project {project} for access.",
            "There is no such project or repository, or you may not View it. The response is the same to the letter in "
            "both cases, so that it does not reveal which projects exist.",
            "Check the name. Ask someone with Administer on the project to share it with you.",
        ),
        Reason.PROJECT_TRASHED: ReasonText(
            "Project {project} is in the trash, where every request is refused; ask someone with Administer to restore "
            "it.",
            "The project is in the trash: every operation fails, for everyone, and nothing is lost.",
            "Set `spec.trashed: false` on the `Project`; everything is then as before.",
            short_pattern="The project is in the trash; ask someone with Administer to restore it.",
        ),
        Reason.REPOSITORY_TRASHED: ReasonText(
            "{name} is in the trash, where every request is refused; ask someone with EditAndDelete on project "
            "{project} to restore it.",
            "The repository is in the trash: every operation fails, for everyone, and nothing is lost. Its name stays "
            "reserved.",
            "Set `spec.trashed: false` on the `DockerRepository`; everything is then as before.",
            short_pattern="The repository is in the trash; ask someone with EditAndDelete to restore it.",
        ),
        Reason.PROJECT_SUSPENDED: ReasonText(
            "Project {project} is suspended and its registry is stopped; ask someone with Administer to resume it.",
            "The project has `spec.suspend: true`, so its registry does not run.",
            "Set `spec.suspend: false` on the `Project`.",
            short_pattern="The project is suspended; ask someone with Administer to resume it.",
        ),
        Reason.EXTERNAL_REPOSITORY: ReasonText(
            "{name} is catalogued but not hosted in this registry; use the image in spec.external of its "
            "DockerRepository.",
            "The `DockerRepository` describes an image that is hosted in another registry.",
            "Use the address in `spec.external.image`.",
            short_pattern="It is not hosted in this registry; use the image in spec.external.",
        ),
        Reason.CREATION_DECLARED: ReasonText(
            "{name} does not exist, and project {project} creates no repository on push; apply a DockerRepository for "
            "it first.",
            "The project has `spec.repositoryCreation: Declared`, and no `DockerRepository` declares the pushed name.",
            "Apply a `DockerRepository` with that path in the project's namespace, then push again.",
            short_pattern="This project creates no repository on push; apply a DockerRepository for it first.",
        ),
        Reason.LEVEL_TOO_LOW: ReasonText(
            "{who} has {have} on {name}, and {action} needs {need}; ask someone with Administer on project {project} "
            "for {need}.",
            "You may see the repository, but the action needs a higher sharing level than yours. Levels, weakest "
            "first: View, Download (pull), Edit (push), EditAndDelete (delete), Administer.",
            "Ask someone with Administer on the project for the level in the sentence. If you are not logged in, log "
            "in first: without a login you have only the level that is shared with Public.",
            anonymous_pattern="You are not logged in: Public has {have} on {name}, and {action} needs {need}; log in "
            "(docker login) and try again.",
            short_pattern="{who} has {have}, and {action} needs {need}; ask someone with Administer for it.",
        ),
        Reason.NOT_CERTIFIED: ReasonText(
            "{who} may edit {name} but is not certified to push; ask your registry administrators for a Certification.",
            "Your level allows a push, and no `Certification` names you. Certification applies to pushes alone, never "
            "to pulls.",
            "Ask your registry administrators for a `Certification`. It takes effect as soon as it is applied.",
            short_pattern="{who} is not certified to push; ask your registry administrators for a Certification.",
        ),
        Reason.CERTIFICATION_EXPIRED: ReasonText(
            "{who} may edit {name}, but the certification to push ended at {until}; ask your registry administrators "
            "for a new Certification.",
            "Your level allows a push, and the last `Certification` that names you has ended (`spec.validUntil`).",
            "Ask your registry administrators for a new `Certification`.",
            short_pattern="The certification of {who} ended at {until}; ask your administrators for a new one.",
        ),
        Reason.TOKEN_SCOPE_MISSING: ReasonText(
            "The token of {who} lacks the scope {missing}, which {action} on {name} needs; use a token that has it.",
            "Your level allows the action, but the scopes of your token do not. Pull needs `download`, push needs "
            "`download` and `modify`, delete needs `modify`.",
            "Use a token with the scope in the sentence.",
            short_pattern="The token of {who} lacks the scope {missing}; use a token that has it.",
        ),
        Reason.LAYER_TOO_LARGE: ReasonText(
            "The push to {name} has a layer of {layer}, and its project allows {limit}; split it, or ask someone with "
            "Administer to raise spec.limits.layerSize.",
            "One layer of the image is larger than the project allows.",
            "Split the layer, keep data out of the image, or ask someone with Administer on the project to raise "
            "`spec.limits.layerSize`.",
        ),
        Reason.POLICY_STALE: ReasonText(
            "The registry cannot reach its cluster, so its policy may be out of date and {name} accepts no changes; "
            "pulls still work; try again in a few minutes.",
            "The access service has had no contact with the cluster for longer than `BERTH_POLICY_MAX_AGE`, so it "
            "cannot know whether a right was withdrawn. Pulls use the last known policy; pushes and deletes are "
            "refused.",
            "Try again. If the error stays, the operators of the registry find the cause in the log of the access "
            "service.",
        ),
        Reason.CATALOG_UNAVAILABLE: ReasonText(
            "The catalog cannot record this change to {name} at the moment, so it was refused; try again in a minute.",
            "Every push and delete is recorded. The catalog did not answer for some seconds, so the change was "
            "refused; pulls still work.",
            "Try again. If the error stays, the operators of the registry find the cause in the catalog's log.",
        ),
    }
)
"""The texts of the reasons that this version uses, in the order of the chain."""


def sentence(reason: Reason, facts: MessageFacts | None = None) -> str:
    """The sentence of a reason with these facts: printable ASCII, at most `MAX_LENGTH` characters.

    Raises `KeyError` for a reason that is not in `REASON_TEXTS`.
    """
    facts = facts if facts is not None else MessageFacts()
    text = REASON_TEXTS[reason]
    pattern = text.anonymous_pattern if facts.is_anonymous and text.anonymous_pattern else text.pattern
    return phrase(pattern, **_fields(facts))


def short_sentence(reason: Reason, facts: MessageFacts) -> str:
    """The sentence for use beside the address of the page that explains the decision; empty where there is none."""
    text = REASON_TEXTS[reason]
    if facts.is_anonymous and text.anonymous_pattern:
        return ""
    return phrase(text.short_pattern, **_fields(facts))


def size_text(size: int) -> str:
    """A size in bytes in decimal units, rounded to three digits: `2 GB`, `1.5 MB`."""
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
    """Both sizes as text; in bytes where rounding would make them equal."""
    if layer is None or limit is None:
        return "unknown size" if layer is None else size_text(layer), "less" if limit is None else size_text(limit)
    if size_text(layer) == size_text(limit):
        return f"{layer} bytes", f"{limit} bytes"
    return size_text(layer), size_text(limit)
