"""Signs registry tokens, and verifies those that clients send back.

A token carries its leaf certificate (`x5c`), so registries and every replica of this service trust the CA alone, and
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
_RELOAD_SECONDS: Final = 2.0  # between two checks of the key files
_CACHED_TOKENS: Final = 10_000
_CACHED_BYTES: Final = 64 * 1024 * 1024
_MAX_TOKEN_LENGTH: Final = 16_384


class InvalidTokenError(Exception):
    """The token is not one of ours, or it has expired. `sentence` is for the client."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class TokenService:
    """Signs with the key in `directory` (`tls.crt`, `tls.key`), and verifies.

    Verifies tokens of this key and of earlier ones. With a bundle `ca.crt` there, also tokens that other replicas
    signed with another leaf of those authorities. `clock` returns seconds since the epoch, `token_id` a new `jti` of
    letters, digits, `-` and `_`.
    """

    def __init__(
        self, *, directory: Path, lifetime: int, clock: Callable[[], float], token_id: Callable[[], str]
    ) -> None:
        self.lifetime = lifetime
        self._directory = directory
        self._clock = clock
        self._token_id = token_id
        self._keys: SigningKeys | None = None
        self._stamp: tuple[object, ...] = ()
        self._key_generation = 0
        self._next_check = 0.0
        self._own: dict[str, tuple[ec.EllipticCurvePublicKey, float]] = {}  # each leaf that was loaded here
        self._leaves: dict[
            str, tuple[ec.EllipticCurvePublicKey, float]
        ] = {}  # of other replicas, from the same authorities
        self._verified: BoundedCache[str, GrantedToken] = BoundedCache(
            max_entries=_CACHED_TOKENS, max_bytes=_CACHED_BYTES, size_of=_size_of
        )
        self._log = structlog.get_logger("berth.access.tokens")

    @property
    def ready(self) -> bool:
        """Whether a signing key is loaded."""
        self._reload()
        return self._keys is not None

    @property
    def key_generation(self) -> int:
        """How often keys were loaded.

        After a change, tokens that were verified before may not be trusted any more.
        """
        self._reload()
        return self._key_generation

    def sign(self, claims: Claims) -> tuple[str, int]:
        """A token with these claims, and its `iat`.

        Raises RuntimeError while no key is loaded: the process is not ready then and gets no requests.
        """
        self._reload()
        if self._keys is None:
            raise RuntimeError(f"no signing key could be read from {self._directory}")
        issued = int(self._clock())
        times = f'{{"exp":{issued + self.lifetime},"nbf":{issued},"iat":{issued},"jti":"{self._token_id()}",'
        signed = self._keys.header + b"." + base64url_encode(times.encode("ascii") + claims.rest)
        r, s = decode_dss_signature(self._keys.private.sign(signed, _ES256))
        signature = base64url_encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))  # RFC 7518, 3.4
        return (signed + b"." + signature).decode("ascii"), issued

    def verify(self, token: str) -> GrantedToken:
        """The content of a token of ours.

        Raises InvalidTokenError if it is forged, foreign, malformed or expired.
        """
        verified = self._verified.get(token)
        if verified is None:
            verified = self._read(token)
            self._verified.put(token, verified)
        if verified.expires <= self._clock():
            self._verified.pop(token)
            raise InvalidTokenError("The registry token has expired; the client must ask for a new one.")
        return verified

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
        self._reload()
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
        """The key of a leaf that our CA signed, and the end of its validity.

        Raises ValueError for any other leaf.
        """
        try:
            certificate = x509.load_der_x509_certificate(base64.b64decode(leaf, validate=True))
        except binascii.Error as error:
            raise ValueError("x5c is not base64") from error
        if self._keys is None or not issued_by(certificate, self._keys.authorities):
            raise ValueError("the leaf certificate is not from our CA")
        key = certificate.public_key()
        now = datetime.fromtimestamp(self._clock(), UTC)
        if not isinstance(key, ec.EllipticCurvePublicKey) or now < certificate.not_valid_before_utc:
            raise ValueError("the leaf certificate cannot be used")
        return key, certificate.not_valid_after_utc.timestamp()

    def _reload(self) -> None:
        """Load the key files if they have changed.

        An inconsistent set leaves the present keys.
        """
        now = self._clock()
        if now < self._next_check and self._keys is not None:
            return
        self._next_check = now + _RELOAD_SECONDS
        try:
            stamp = tuple(file_stamp(self._directory / name) for name in ("tls.crt", "tls.key", "ca.crt"))
            if stamp == self._stamp:
                return
            keys = load_keys(self._directory)
        except (OSError, ValueError, TypeError) as error:
            self._log.warning(
                "the signing key could not be loaded", directory=str(self._directory), error=type(error).__name__
            )
            return
        self._keys, self._stamp = keys, stamp
        self._key_generation += 1
        # Earlier leaves stay trusted, unless their authority is no longer in the bundle (after a leak, docs/keys.md).
        self._own = {
            leaf: known for leaf, known in self._own.items() if known[1] > now and still_trusted(leaf, keys.authorities)
        }
        self._own[keys.leaf] = (keys.private.public_key(), keys.until)
        self._leaves.clear()
        self._verified.clear()
        self._log.info("signing key loaded", directory=str(self._directory))


def _size_of(token: str, _granted: GrantedToken) -> int:
    """Bytes of a token and, about twice as many, of its parsed content."""
    return 3 * len(token)
