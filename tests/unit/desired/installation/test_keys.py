"""Keys, certificates and what is derived."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from berth.desired.installation import keys

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CA = keys.make_ca("test CA", NOW)


def load(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def test_an_authority_signs_leaves_and_nothing_below_them() -> None:
    constraints = load(CA.certificate).extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca
    assert constraints.value.path_length == 0
    assert load(CA.certificate).not_valid_after_utc == NOW + timedelta(days=3650)


def test_an_authority_signs_certificates_alone_and_a_leaf_signs_data_alone() -> None:
    leaves = (keys.make_token_leaf(CA, NOW), keys.make_server_leaf(CA, "images.example.org", NOW))
    usages = [load(pair.certificate).extensions.get_extension_for_class(x509.KeyUsage).value for pair in (CA, *leaves)]
    assert [usage.digital_signature for usage in usages] == [False, True, True]
    assert [usage.key_cert_sign for usage in usages] == [True, False, False]
    assert [usage.crl_sign for usage in usages] == [True, False, False]


def test_a_token_leaf_is_a_p256_key_of_ninety_days() -> None:
    leaf = load(keys.make_token_leaf(CA, NOW).certificate)
    public = leaf.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert isinstance(public.curve, ec.SECP256R1)
    assert leaf.not_valid_after_utc == NOW + timedelta(days=90)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize(
    ("host", "name"),
    [("images.example.org", "images.example.org"), ("images.example.org:8443", "images.example.org")],
)
def test_a_tls_client_that_trusts_the_authority_accepts_the_gateway(host: str, name: str) -> None:
    leaf = load(keys.make_server_leaf(CA, host, NOW).certificate)
    verifier = PolicyBuilder().store(Store([load(CA.certificate)])).time(NOW).build_server_verifier(x509.DNSName(name))
    assert verifier.verify(leaf, [])


def test_addresses_become_addresses_in_the_certificate() -> None:
    for host in ("192.0.2.7:8443", "192.0.2.7", "[2001:db8::1]:8443", "2001:db8::1"):
        leaf = keys.make_server_leaf(CA, host, NOW)
        assert keys.covers_host(leaf.certificate, host)
        names = load(leaf.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.IPAddress)


def test_a_name_longer_than_a_common_name_still_gets_a_certificate() -> None:
    host = f"{'a' * 60}.{'b' * 60}.example.org"
    assert keys.covers_host(keys.make_server_leaf(CA, host, NOW).certificate, host)


def test_a_certificate_covers_its_host_alone() -> None:
    leaf = keys.make_server_leaf(CA, "images.example.org", NOW).certificate
    assert not keys.covers_host(leaf, "other.example.org")
    assert not keys.covers_host(CA.certificate, "images.example.org")
    assert not keys.covers_host("nonsense", "images.example.org")


def test_renewal_is_due_after_two_thirds_of_the_life() -> None:
    leaf = keys.make_token_leaf(CA, NOW).certificate
    assert not keys.needs_renewal(leaf, NOW)
    assert not keys.needs_renewal(leaf, NOW + timedelta(days=59))
    assert keys.needs_renewal(leaf, NOW + timedelta(days=61))
    assert keys.needs_renewal(leaf, NOW - timedelta(days=1))


def test_no_leaf_outlives_its_authority() -> None:
    late = NOW + timedelta(days=3640)
    leaf = keys.make_token_leaf(CA, late).certificate
    assert load(leaf).not_valid_after_utc == load(CA.certificate).not_valid_after_utc


def test_a_pair_is_usable_only_when_both_halves_belong_together() -> None:
    first, second = keys.make_token_leaf(CA, NOW), keys.make_token_leaf(CA, NOW)
    assert keys.is_usable(first)
    assert not keys.is_usable(keys.KeyPair(first.certificate, second.key))
    assert not keys.is_usable(keys.KeyPair("", ""))
    assert not keys.is_usable(keys.KeyPair(first.certificate, "nonsense"))


def test_only_the_authority_that_signed_counts_as_issuer() -> None:
    leaf = keys.make_token_leaf(CA, NOW).certificate
    assert keys.is_issued_by(leaf, CA)
    assert not keys.is_issued_by(leaf, keys.make_ca("test CA", NOW))


def test_a_key_never_shows_in_a_repr() -> None:
    assert CA.key not in repr(CA)
    assert "PRIVATE" not in repr(CA)


def test_the_secret_of_a_registry_is_its_own_and_stays() -> None:
    seed = bytes(range(32))
    first = keys.http_secret(seed, "uid-1")
    assert keys.http_secret(seed, "uid-1") == first
    assert keys.http_secret(seed, "uid-2") != first
    assert keys.http_secret(bytes(32), "uid-1") != first
    assert len(bytes.fromhex(first)) == 32


def test_no_secret_is_derived_from_nothing() -> None:
    with pytest.raises(ValueError, match="seed"):
        keys.http_secret(b"", "uid-1")
    with pytest.raises(ValueError, match="uid"):
        keys.http_secret(bytes(32), "")


def test_renewal_is_due_at_exactly_two_thirds_of_the_life() -> None:
    leaf = keys.make_token_leaf(CA, NOW).certificate
    start, end = load(leaf).not_valid_before_utc, load(leaf).not_valid_after_utc
    due = start + (end - start) * (2 / 3)
    assert keys.needs_renewal(leaf, due)
    assert not keys.needs_renewal(leaf, due - timedelta(seconds=1))
    assert not keys.needs_renewal(leaf, start)
    assert keys.needs_renewal(leaf, start - timedelta(seconds=1))


def test_a_certificate_expires_at_its_very_end() -> None:
    leaf = keys.make_token_leaf(CA, NOW).certificate
    end = load(leaf).not_valid_after_utc
    assert keys.is_expired(leaf, end)
    assert not keys.is_expired(leaf, end - timedelta(seconds=1))


def test_a_pair_of_another_kind_of_key_is_not_usable() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "other")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    certificate = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = certificate.sign(key, None).public_bytes(serialization.Encoding.PEM)
    assert not keys.is_usable(keys.KeyPair(pem.decode(), private.decode()))


@pytest.mark.parametrize(
    ("host", "name"),
    [("a.example:8443", "a.example"), ("a.example", "a.example"), ("[::1]:8443", "::1"), ("::1", "::1")],
)
def test_the_name_of_a_host_has_no_port(host: str, name: str) -> None:
    assert keys.host_name(host) == name
