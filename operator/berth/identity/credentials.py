"""Strict parsing of HTTP Basic credentials. Source: RFC 7617 (with UTF-8)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

_MAX_LENGTH: Final = 16_384  # bytes of one Basic header; a ServiceAccount token has about 1,200
MALFORMED: Final = "The Authorization header is not valid HTTP Basic: send base64 of user:password in UTF-8."


class MalformedCredentialsError(ValueError):
    """Credentials that cannot be parsed. The message is one sentence for the client."""


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name and password as the client sent them. The repr leaves the password out."""

    user: str
    password: str = field(repr=False)


def parse_basic(header: str) -> Basic:
    """Parse an `Authorization: Basic …` header. Raises MalformedCredentialsError for anything else."""
    scheme, separator, encoded = header.partition(" ")
    if scheme.lower() != "basic" or not separator or len(encoded) > _MAX_LENGTH:
        raise MalformedCredentialsError(MALFORMED)
    try:
        # Some clients omit the padding; everything else must be valid base64.
        padded = encoded.strip(" ").rstrip("=")
        text = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise MalformedCredentialsError(MALFORMED) from None
    return checked_basic(*_split(text))


def checked_basic(user: str, password: str) -> Basic:
    """Credentials without control characters (RFC 7617, 2). Raises MalformedCredentialsError otherwise."""
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in user + password):
        raise MalformedCredentialsError(MALFORMED)
    return Basic(user, password)


def _split(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not colon:
        raise MalformedCredentialsError(MALFORMED)
    return user, password
