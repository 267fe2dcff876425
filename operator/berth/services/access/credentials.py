"""Who is asking at `/token`: reading credentials strictly, and proving them.

Order: one of Berth's own processes by its ServiceAccount token in the password, then user name and password.
Source: RFC 7617 (Basic, with UTF-8).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from berth.access.model import ANONYMOUS, CredentialKind, Identity, Snapshot
from berth.api.names import AUDIENCE_ACCESS
from berth.api.reasons import Reason
from berth.services.access.passwords import Passwords, TooBusy
from berth.services.serviceaccount import NotServed, ServiceAccountVerifier

_MAX_LENGTH: Final = 8192  # bytes of one Basic header; a ServiceAccount token has about 1,200
MALFORMED: Final = "The Authorization header is not valid HTTP Basic: send base64 of user:password in UTF-8."


class MalformedCredentials(ValueError):  # noqa: N818 - named for what the client sent
    """The credentials can not be read at all. The message is one sentence for the client."""


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name and password as they were sent. The password never stands in a repr."""

    user: str
    password: str = field(repr=False)


def parse_basic(header: str) -> Basic:
    """Read an `Authorization: Basic …` header. Raises MalformedCredentials for anything else."""
    scheme, separator, encoded = header.partition(" ")
    if scheme.lower() != "basic" or not separator or len(encoded) > _MAX_LENGTH:
        raise MalformedCredentials(MALFORMED)
    try:
        # Some clients leave the padding out; everything else must be base64 to the letter.
        padded = encoded.strip(" ").rstrip("=")
        text = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise MalformedCredentials(MALFORMED) from None
    return checked_basic(*_split(text))


def checked_basic(user: str, password: str) -> Basic:
    """A user name and password without control characters (RFC 7617, 2). Raises MalformedCredentials otherwise."""
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in user + password):
        raise MalformedCredentials(MALFORMED)
    return Basic(user, password)


def _split(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not colon:
        raise MalformedCredentials(MALFORMED)
    return user, password


def failed(reason: Reason, name: str = "") -> Identity:
    """Somebody whose credentials were given and refused for this reason."""
    return Identity(credential=CredentialKind.FAILED, name=name, failure=reason)


class Authenticator:
    """Turns credentials into an identity; never raises for what a client sent.

    `service_accounts` are Berth's own processes that get registry tokens, as `namespace/name`.
    """

    def __init__(
        self, *, verifier: ServiceAccountVerifier, service_accounts: frozenset[str], passwords: Passwords
    ) -> None:
        self._verifier = verifier
        self._service_accounts = service_accounts
        self._passwords = passwords

    async def identify(self, basic: Basic | None, snapshot: Snapshot) -> Identity:
        """The identity that these credentials prove on the present policy; without any, nobody."""
        if basic is None or not (basic.user or basic.password):
            return ANONYMOUS
        if _looks_like_jwt(basic.password):
            account = await self._account(basic.password)
            if account in self._service_accounts:
                return Identity(credential=CredentialKind.SERVICE, name=account)
        user = snapshot.users.get(basic.user)
        try:
            matches = await self._passwords.matches(basic.user, basic.password, user.password_hash if user else None)
        except TooBusy:
            return failed(Reason.TOO_MANY_ATTEMPTS)
        if not matches or user is None:
            return failed(Reason.BAD_CREDENTIALS)
        if user.disabled:
            return failed(Reason.USER_DISABLED, user.name)
        return Identity(credential=CredentialKind.PASSWORD, name=user.name, kind=user.subject.kind)

    async def _account(self, token: str) -> str:
        try:
            return await self._verifier.verify(token, AUDIENCE_ACCESS)
        except NotServed:
            return ""


def _looks_like_jwt(password: str) -> bool:
    return password.startswith("eyJ") and password.count(".") == 2
