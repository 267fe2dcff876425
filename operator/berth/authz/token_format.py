"""The format of Berth's own access tokens. Pure.

`berth_`, 43 base-62 digits of 256 random bits, and 6 base-62 digits of the CRC-32 of everything before them. With the
prefix and the checksum a secret scanner recognizes a leaked token offline, and Berth distinguishes a token from a
password without its policy. GitHub's token formats of 2021 use the same idea.
"""

from __future__ import annotations

import hashlib
import string
import zlib
from typing import Final

PREFIX: Final = "berth_"
RANDOM_BYTES: Final = 32
SECRET_LENGTH: Final = 55
"""Length of a token in characters."""

_DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BODY: Final = 43  # 62**43 > 2**256
_CHECKSUM: Final = 6  # 62**6 > 2**32


def make_token(random_bytes: bytes) -> str:
    """Make a token from 32 random bytes. Raises ValueError for any other number of bytes."""
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"a token is made of {RANDOM_BYTES} random bytes, not {len(random_bytes)}")
    body = PREFIX + _base62(int.from_bytes(random_bytes, "big"), _BODY)
    return body + _checksum(body)


def is_token(text: str) -> bool:
    """Whether `text` has the prefix, length, digits and checksum of a token. Anything else may be a password."""
    return (
        len(text) == SECRET_LENGTH
        and text.startswith(PREFIX)
        and all(character in _DIGITS for character in text[len(PREFIX) :])
        and _checksum(text[:-_CHECKSUM]) == text[-_CHECKSUM:]
    )


def token_sha256(token: str) -> str:
    """The value of `spec.sha256` of an AccessToken: SHA-256 of the whole token, in lower-case hexadecimal digits.

    A plain hash is enough: 256 random bits cannot be guessed, so salt and a slow hash would protect nothing.
    """
    return hashlib.sha256(token.encode("ascii")).hexdigest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECKSUM)


def _base62(number: int, length: int) -> str:
    digits: list[str] = []
    for _ in range(length):
        number, rest = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[rest])
    return "".join(reversed(digits))
