"""Key material: certificate authorities, leaves, and secrets derived from the installation's seed.

All keys use the elliptic curve P-256 (RFC 7518 `ES256`; Distribution's `signingalgorithms`). Keys are PEM text that is
hidden in `repr`.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME: Final = timedelta(days=3650)
STANDBY_LIFETIME: Final = 2 * CA_LIFETIME
"""Lifetime of an authority that is created long before it signs."""
LEAF_LIFETIME: Final = timedelta(days=90)
SEED_BYTES: Final = 32

_CLOCK_SKEW = timedelta(minutes=5)
_RENEW_AT = 2 / 3


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM (PKCS #8, not encrypted)."""

    certificate: str
    key: str = field(repr=False)


def make_ca(common_name: str, now: datetime, lifetime: timedelta = CA_LIFETIME) -> KeyPair:
    """Create a self-signed authority that can sign leaves only."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(common_name)
    usage = _key_usage(signs_certificates=True)
    builder = (
        _builder(subject, subject, key.public_key(), now, now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return _pair(builder.sign(key, hashes.SHA256()), key)


def make_token_leaf(ca: KeyPair, now: datetime) -> KeyPair:
    """Create the leaf that signs registry tokens. Each token carries it in `x5c` (RFC 7515, 4.1.6)."""
    return _leaf(ca, "berth token signing", now, ())


def make_server_leaf(ca: KeyPair, host: str, now: datetime) -> KeyPair:
    """Create the gateway's TLS certificate for `host` (a name or an address, with or without a port)."""
    name = host_name(host)
    extensions = (
        x509.SubjectAlternativeName([_alternative(name)]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    )
    # A common name has at most 64 characters (RFC 5280, ub-common-name); clients read the alternative name.
    return _leaf(ca, name[:64], now, extensions)


def host_name(host: str) -> str:
    """`HOST` without its port: `registry.example.org:8443` -> `registry.example.org`, `[::1]:8443` -> `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def needs_renewal(certificate_pem: str, now: datetime) -> bool:
    """Whether two thirds of the certificate's life are over, or it is not valid yet. Raises ValueError for bad PEM."""
    certificate = _load(certificate_pem)
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now < start or now >= start + (end - start) * _RENEW_AT


def issued_at(certificate_pem: str) -> datetime:
    """When the certificate was created. Raises ValueError for bad PEM."""
    return _load(certificate_pem).not_valid_before_utc + _CLOCK_SKEW


def split_bundle(bundle_pem: str) -> tuple[str, ...]:
    """The certificates of a bundle, each as PEM. Raises ValueError for bad PEM."""
    return tuple(
        certificate.public_bytes(serialization.Encoding.PEM).decode()
        for certificate in x509.load_pem_x509_certificates(bundle_pem.encode())
    )


def fingerprint(certificate_pem: str) -> str:
    """The first half of the SHA-256 of a certificate's DER, hexadecimal. Raises ValueError for bad PEM."""
    return _load(certificate_pem).fingerprint(hashes.SHA256()).hex()[:32]


def is_expired(certificate_pem: str, now: datetime) -> bool:
    """Whether the certificate has expired. Raises ValueError for bad PEM."""
    return now >= _load(certificate_pem).not_valid_after_utc


def is_usable(pair: KeyPair) -> bool:
    """Whether certificate and key can be parsed and belong together."""
    try:
        key = serialization.load_pem_private_key(pair.key.encode(), password=None)
        public = _load(pair.certificate).public_key()
    except (ValueError, TypeError):
        return False
    return isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == public


def is_issued_by(certificate_pem: str, ca: KeyPair) -> bool:
    """Whether this authority signed the certificate."""
    try:
        _load(certificate_pem).verify_directly_issued_by(_load(ca.certificate))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def covers_host(certificate_pem: str, host: str) -> bool:
    """Whether the certificate is for `host`."""
    try:
        names = _load(certificate_pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return _alternative(host_name(host)) in list(names)


def http_secret(seed: bytes, project_uid: str) -> str:
    """Derive the `http.secret` of a project's registry, hexadecimal.

    Raises ValueError when the seed or the uid is missing: all projects would get the same secret.
    """
    if len(seed) < SEED_BYTES or not project_uid:
        raise ValueError("the registry's secret needs the installation's seed (32 bytes) and the project's uid")
    return hmac.new(seed, project_uid.encode(), hashlib.sha256).hexdigest()


def _leaf(ca: KeyPair, common_name: str, now: datetime, extensions: tuple[x509.ExtensionType, ...]) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _load(ca.certificate)
    end = min(now + LEAF_LIFETIME, authority.not_valid_after_utc)
    builder = (
        _builder(_subject(common_name), authority.subject, key.public_key(), now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return _pair(builder.sign(_load_key(ca.key), hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    """The common fields. The certificate is valid slightly before `now`, because the clocks of nodes differ."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load(certificate_pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate_pem.encode())


def _load_key(key_pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic curve key")
    return key


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode())
