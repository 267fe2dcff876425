"""Loads the signing key of registry tokens, and the authorities that verify them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from jwt.utils import base64url_encode

ALGORITHM: Final = "ES256"


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """A private key with its certificate."""

    private: ec.EllipticCurvePrivateKey
    leaf: str  # base64 of the DER form, as in `x5c`
    header: bytes  # of every token, encoded
    until: float  # end of the leaf's validity
    authorities: tuple[x509.Certificate, ...]


def file_stamp(path: Path) -> tuple[int, int, int] | None:
    """A value that changes when the file is replaced; None without a file."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def load_keys(directory: Path) -> SigningKeys:
    """Read the files of a key.

    Raises OSError, ValueError or TypeError if they are absent or do not match.
    """
    certificate = x509.load_pem_x509_certificate((directory / "tls.crt").read_bytes())
    private = load_pem_private_key((directory / "tls.key").read_bytes(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
        raise ValueError("tls.key is not a P-256 key")
    if private.public_key() != certificate.public_key():
        raise ValueError("tls.crt does not certify tls.key")
    bundle = directory / "ca.crt"
    authorities = tuple(x509.load_pem_x509_certificates(bundle.read_bytes())) if bundle.exists() else ()
    if authorities and not issued_by(certificate, authorities):
        raise ValueError("tls.crt is not signed by a certificate of ca.crt")
    leaf = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
    header = {"alg": ALGORITHM, "typ": "JWT", "x5c": [leaf]}
    return SigningKeys(
        private=private,
        leaf=leaf,
        header=base64url_encode(json.dumps(header, separators=(",", ":")).encode("ascii")),
        until=certificate.not_valid_after_utc.timestamp(),
        authorities=authorities,
    )


def still_trusted(leaf: str, authorities: Sequence[x509.Certificate]) -> bool:
    """Whether one of these authorities issued this leaf.

    The leaf is base64 of the DER form. True without any authority.
    """
    return not authorities or issued_by(x509.load_der_x509_certificate(base64.b64decode(leaf)), authorities)


def issued_by(certificate: x509.Certificate, authorities: Sequence[x509.Certificate]) -> bool:
    """Whether one of these authorities issued this certificate."""
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError, TypeError):
            continue
        return True
    return False
