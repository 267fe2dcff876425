"""Registry tokens: signing them, and verifying those that come back.

A token carries its leaf certificate (`x5c`), so registries and every replica of this service trust the CA alone and
the signing key rotates without a restart. Sources: Distribution "Token Authentication Specification" and its
`registry/auth/token/token.go`; RFC 7515 (`x5c`), RFC 7518 (ES256).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import jwt
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwt.utils import base64url_encode

from berth.runtime.bounded_cache import BoundedCache
from berth.services.access.tokens.claims import ISSUER, Claims, GrantedToken, granted_token
from berth.services.access.tokens.signing_keys import (
    ALGORITHM,
    SigningKeys,
    file_stamp,
    issued_by,
    load_keys,
    still_trusted,
)

_ES256: Final = ec.ECDSA(hashes.SHA256())
_CLOCK_SKEW: Final = 60  # seconds before `nbf`; the same leeway as Distribution's
_LOOK_INTERVAL: Final = 2.0  # seconds between two looks at the key files
_CACHED_TOKENS: Final = 10_000
_CACHED_BYTES: Final = 64 * 1024 * 1024
_MAX_TOKEN_LENGTH: Final = 16_384


class InvalidTokenError(Exception):
    """The token is not one of ours, or it has expired. `sentence` may be told to the client."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class TokenService:
    """Signs with the key in `directory` (`tls.crt`, `tls.key`) and verifies what it signed, now or before.

    With `ca.crt` there (a bundle), what other replicas signed with another leaf of those authorities is verified too.
    `clock` is seconds since the epoch, `token_id` gives a new `jti` each time, of letters and digits, `-` and `_`.
    """

    def __init__(
        self, *, directory: Path, lifetime: int, clock: Callable[[], float], token_id: Callable[[], str]
    ) -> None:
        self.lifetime = lifetime
        self._directory = directory
        self._clock = clock
        self._token_id = token_id
        self._keys: SigningKeys | None = None
        self.file_stamp: tuple[object, ...] = ()
        self.loaded = 0  # how often keys were loaded: what was verified before may not be trusted any more
        self._next_look = 0.0
        self._own: dict[str, tuple[ec.EllipticCurvePublicKey, float]] = {}  # every leaf that was loaded here
        self._leaves: dict[str, tuple[ec.EllipticCurvePublicKey, float]] = {}  # of others, from the same authorities
        self._verified: BoundedCache[str, GrantedToken] = BoundedCache(
            max_entries=_CACHED_TOKENS, max_bytes=_CACHED_BYTES, size_of=_size_of_verified
        )
        self._log = structlog.get_logger("berth.access.tokens")

    @property
    def ready(self) -> bool:
        """Whether a signing key is loaded. Looks at the files again when they may have changed."""
        self._look()
        return self._keys is not None

    @property
    def leaf(self) -> str:
        """The leaf that signs now, in base64; empty while no key is loaded."""
        self._look()
        return self._keys.leaf if self._keys is not None else ""

    def sign(self, claims: Claims) -> tuple[str, int]:
        """A token that says this, and its `iat`.

        Raises RuntimeError while no key is loaded: the process is not ready then and gets no requests.
        """
        self._look()
        if self._keys is None:
            raise RuntimeError(f"no signing key could be read from {self._directory}")
        issued = int(self._clock())
        times = f'{{"exp":{issued + self.lifetime},"nbf":{issued},"iat":{issued},"jti":"{self._token_id()}",'
        signed = self._keys.header + b"." + base64url_encode(times.encode("ascii") + claims.rest)
        r, s = decode_dss_signature(self._keys.private.sign(signed, _ES256))
        signature = base64url_encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))  # RFC 7518, 3.4
        return (signed + b"." + signature).decode("ascii"), issued

    def verify(self, token: str) -> GrantedToken:
        """What a token of ours says. Raises TokenRefused when it is forged, foreign, malformed or expired."""
        known = self._verified.get(token)
        if known is None:
            known = self._read(token)
            self._verified.put(token, known)
        if known.expires <= self._clock():
            self._verified.pop(token)
            raise InvalidTokenError("The registry token has expired; the client must ask for a new one.")
        return known

    def _read(self, token: str) -> GrantedToken:
        refusal = InvalidTokenError("The registry token was not issued by this registry; log in again.")
        if len(token) > _MAX_TOKEN_LENGTH:
            raise refusal
        try:
            claims = jwt.decode(
                token,
                key=self._leaf_key(token),
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options={
                    "require": ["exp", "nbf", "iss", "aud"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                },
            )
            granted = granted_token(claims)
        except (jwt.InvalidTokenError, ValueError, KeyError, TypeError, AttributeError):
            raise refusal from None
        if float(claims["nbf"]) > self._clock() + _CLOCK_SKEW:
            raise refusal
        return granted

    def _leaf_key(self, token: str) -> ec.EllipticCurvePublicKey:
        self._look()
        chain = jwt.get_unverified_header(token).get("x5c")
        if not isinstance(chain, list) or len(chain) != 1 or not isinstance(chain[0], str):
            raise ValueError("a token of ours carries one leaf certificate")
        leaf = chain[0]
        known = self._own.get(leaf) or self._leaves.get(leaf)
        if known is None:
            known = self._trust(leaf)
            self._leaves[leaf] = known
        key, until = known
        if until <= self._clock():
            raise ValueError("the leaf certificate has expired")
        return key

    def _trust(self, leaf: str) -> tuple[ec.EllipticCurvePublicKey, float]:
        """The key of a leaf that our CA signed, and the end of its validity. Raises ValueError for any other."""
        try:
            certificate = x509.load_der_x509_certificate(base64.b64decode(leaf, validate=True))
        except binascii.Error as error:
            raise ValueError("x5c is not base64") from error
        if self._keys is None or not issued_by(certificate, self._keys.authorities):
            raise ValueError("the leaf certificate is not from our CA")
        key = certificate.public_key()
        now = datetime.fromtimestamp(self._clock(), UTC)
        if not isinstance(key, ec.EllipticCurvePublicKey) or now < certificate.not_valid_before_utc:
            raise ValueError("the leaf certificate is of no use")
        return key, certificate.not_valid_after_utc.timestamp()

    def _look(self) -> None:
        """Load the key files when they have changed. A set that does not fit together leaves the present one."""
        now = self._clock()
        if now < self._next_look and self._keys is not None:
            return
        self._next_look = now + _LOOK_INTERVAL
        try:
            stamp = tuple(file_stamp(self._directory / name) for name in ("tls.crt", "tls.key", "ca.crt"))
            if stamp == self.file_stamp:
                return
            keys = load_keys(self._directory)
        except (OSError, ValueError, TypeError) as error:
            self._log.warning(
                "the signing key could not be loaded", directory=str(self._directory), error=type(error).__name__
            )
            return
        self._keys, self.file_stamp = keys, stamp
        self.loaded += 1
        # A leaf of before goes on being trusted, unless its authority was forgotten (a leak, docs/keys.md).
        self._own = {
            leaf: known for leaf, known in self._own.items() if known[1] > now and still_trusted(leaf, keys.authorities)
        }
        self._own[keys.leaf] = (keys.private.public_key(), keys.until)
        self._leaves.clear()
        self._verified.clear()
        self._log.info("signing key loaded", directory=str(self._directory))


def _size_of_verified(token: str, _granted: GrantedToken) -> int:
    """Bytes of a token and, about twice as many, of what was read from it."""
    return 3 * len(token)
