"""The form of Berth's own access tokens. Pure.

`berth_`, 43 base-62 digits of 256 random bits, and 6 base-62 digits of the CRC-32 of all before them. The prefix and
the checksum let secret scanners find a leaked token without asking anybody, and let Berth tell a token from a password
without a look at its policy. (The same idea as GitHub's token formats of 2021.)
"""

from __future__ import annotations

import hashlib
import string
import zlib
from typing import Final

PREFIX: Final = "berth_"
RANDOM_BYTES: Final = 32
SECRET_LENGTH: Final = 55
"""Characters of a whole token."""

_DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BODY: Final = 43  # 62**43 > 2**256
_CHECKSUM: Final = 6  # 62**6 > 2**32


def make_token(random_bytes: bytes) -> str:
    """The token of 32 random bytes. Raises ValueError for any other number of them."""
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"a token is made of {RANDOM_BYTES} random bytes, not {len(random_bytes)}")
    body = PREFIX + _base62(int.from_bytes(random_bytes, "big"), _BODY)
    return body + _checksum(body)


def is_token(text: str) -> bool:
    """Whether that is a token: prefix, length, digits and checksum are right. Anything else may be a password."""
    return (
        len(text) == SECRET_LENGTH
        and text.startswith(PREFIX)
        and all(character in _DIGITS for character in text[len(PREFIX) :])
        and _checksum(text[:-_CHECKSUM]) == text[-_CHECKSUM:]
    )


def token_sha256(token: str) -> str:
    """What `spec.sha256` of the AccessToken holds: SHA-256 of the whole token, in lower-case hexadecimal digits.

    A plain hash will do: 256 random bits can not be guessed, so there is nothing for salt and slowness to protect.
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
