"""The installation's own keys: reads what is there, completes and renews it, writes it as manifests.

An authority changes in two steps, because registries and clients must know the new one before anything is signed
with it: first it is added to the bundle (`ca.crt`), at least a day later it begins to sign. Both stay in the bundle
until they end. See docs/architecture.md, "Keys".
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from berth.api import names
from berth.desired import keys
from berth.desired.keys import KeyPair
from berth.desired.labels import NAME

TOKEN_CA: Final = "berth-token-ca"
TOKEN_SIGNING: Final = "berth-token-signing"
TLS_CA: Final = "berth-tls-ca"
GATEWAY_TLS: Final = "berth-gateway-tls"
SEED: Final = "berth-install"
PUBLIC_CA: Final = "berth-ca"

_ANNOUNCE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority, its successor once announced, and its predecessors until they end (PEM)."""

    current: KeyPair
    successor: KeyPair | None = None
    retired: tuple[str, ...] = ()

    @property
    def bundle(self) -> str:
        """All certificates to trust, the one that signs now first."""
        successor = (self.successor.certificate,) if self.successor else ()
        return "".join((self.current.certificate, *successor, *self.retired))


@dataclass(frozen=True, slots=True)
class FoundMaterial:
    """What the cluster holds; None for what is missing or can not be read."""

    token_ca: Authority | None = None
    token_leaf: KeyPair | None = None
    tls_ca: Authority | None = None
    tls_leaf: KeyPair | None = None
    seed: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Material:
    """Everything the installation needs. The TLS part is None when somebody else provides the gateway's certificate."""

    token_ca: Authority
    token_leaf: KeyPair
    seed: bytes = field(repr=False)
    tls_ca: Authority | None = None
    tls_leaf: KeyPair | None = None


def read_material(secrets_by_name: Mapping[str, Mapping[str, Any]]) -> FoundMaterial:
    """Key material from the Secrets of Berth's namespace, as the API server returns them."""
    data = {name: _decode(secret.get("data") or {}) for name, secret in secrets_by_name.items()}
    seed = data.get(SEED, {}).get("seed", b"")
    return FoundMaterial(
        token_ca=_read_authority(data.get(TOKEN_CA, {})),
        token_leaf=_read_pair(data.get(TOKEN_SIGNING, {}), "tls"),
        tls_ca=_read_authority(data.get(TLS_CA, {})),
        tls_leaf=_read_pair(data.get(GATEWAY_TLS, {}), "tls"),
        seed=seed if len(seed) >= keys.SEED_BYTES else None,
    )


def complete_material(found: FoundMaterial, host: str, now: datetime, *, generate_tls: bool) -> Material:
    """Keeps what is good, makes what is missing, renews what is two thirds through its life.

    Call it only with what was really read: taking an unread Secret for a missing one would replace every key.
    """
    token_ca, token_leaf = _complete(found.token_ca, found.token_leaf, "berth token CA", None, now)
    material = Material(token_ca, token_leaf, found.seed or secrets.token_bytes(keys.SEED_BYTES))
    if not generate_tls:
        return material
    tls_ca, tls_leaf = _complete(found.tls_ca, found.tls_leaf, "berth TLS CA", host, now)
    return replace(material, tls_ca=tls_ca, tls_leaf=tls_leaf)


def desired_installation(material: Material, namespace: str, instance: str, version: str) -> tuple[dict[str, Any], ...]:
    """The Secrets and the ConfigMap, authorities before what they signed."""

    def manifest(kind: str, name: str, **body: Any) -> dict[str, Any]:
        labels = _labels(instance, version)
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **body}

    def secret(name: str, data: Mapping[str, bytes], kind: str = "Opaque") -> dict[str, Any]:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        return manifest("Secret", name, type=kind, data=encoded)

    made = [
        secret(SEED, {"seed": material.seed}),
        secret(TOKEN_CA, _authority_data(material.token_ca)),
        # With the authorities, so that replicas of access trust each other's tokens while a new leaf reaches them.
        secret(
            TOKEN_SIGNING,
            {**_pair_data(material.token_leaf), "ca.crt": material.token_ca.bundle.encode()},
            "kubernetes.io/tls",
        ),
    ]
    if material.tls_ca and material.tls_leaf:
        made.append(secret(TLS_CA, _authority_data(material.tls_ca)))
        made.append(secret(GATEWAY_TLS, _pair_data(material.tls_leaf), "kubernetes.io/tls"))
        made.append(manifest("ConfigMap", PUBLIC_CA, data={"ca.crt": material.tls_ca.bundle}))
    return tuple(made)


def _complete(
    authority: Authority | None, leaf: KeyPair | None, name: str, host: str | None, now: datetime
) -> tuple[Authority, KeyPair]:
    """One authority and its leaf; `host` is None for the leaf that signs tokens."""
    if authority is None or keys.expired(authority.current.certificate, now):
        authority = Authority(keys.make_ca(name, now))
    authority = _announce(authority, name, now)
    if leaf is not None and _leaf_is_good(leaf, authority, host, now):
        return authority, leaf
    authority = _promote(authority, now)
    if host is None:
        return authority, keys.make_token_leaf(authority.current, now)
    return authority, keys.make_server_leaf(authority.current, host, now)


def _leaf_is_good(leaf: KeyPair, authority: Authority, host: str | None, now: datetime) -> bool:
    issuers = [authority.current, *(KeyPair(pem, "") for pem in authority.retired)]
    return (
        keys.is_usable(leaf)
        and any(keys.is_issued_by(leaf.certificate, issuer) for issuer in issuers)
        and not keys.needs_renewal(leaf.certificate, now)
        and (host is None or keys.covers_host(leaf.certificate, host))
    )


def _announce(authority: Authority, name: str, now: datetime) -> Authority:
    """Drops predecessors that have ended, and adds a successor in time."""
    kept = tuple(pem for pem in authority.retired if not keys.expired(pem, now))
    successor = authority.successor
    if successor is None and keys.needs_renewal(authority.current.certificate, now):
        successor = keys.make_ca(name, now)
    return replace(authority, successor=successor, retired=kept)


def _promote(authority: Authority, now: datetime) -> Authority:
    """Lets the successor sign from now on, if everybody has had time to learn of it."""
    successor = authority.successor
    if successor is None or now < keys.issued_at(successor.certificate) + _ANNOUNCE:
        return authority
    return Authority(successor, None, (authority.current.certificate, *authority.retired))


def _authority_data(authority: Authority) -> dict[str, bytes]:
    data = {"ca.crt": authority.bundle.encode(), "ca.key": authority.current.key.encode()}
    if authority.successor:
        data["next.crt"] = authority.successor.certificate.encode()
        data["next.key"] = authority.successor.key.encode()
    return data


def _pair_data(pair: KeyPair) -> dict[str, bytes]:
    return {"tls.crt": pair.certificate.encode(), "tls.key": pair.key.encode()}


def _read_authority(data: Mapping[str, bytes]) -> Authority | None:
    try:
        current, *others = keys.split_bundle(data.get("ca.crt", b"").decode())
    except ValueError:
        return None
    pair = KeyPair(current, data.get("ca.key", b"").decode(errors="replace"))
    if not keys.is_usable(pair):
        return None
    successor = _read_pair(data, "next")
    if successor is not None and not keys.is_usable(successor):
        successor = None
    retired = tuple(pem for pem in others if successor is None or pem != successor.certificate)
    return Authority(pair, successor, retired)


def _read_pair(data: Mapping[str, bytes], stem: str) -> KeyPair | None:
    certificate, key = data.get(f"{stem}.crt"), data.get(f"{stem}.key")
    if not certificate or not key:
        return None
    return KeyPair(certificate.decode(errors="replace"), key.decode(errors="replace"))


def _decode(data: Mapping[str, str]) -> dict[str, bytes]:
    """A Secret's data; an entry that is not base64 counts as missing."""
    decoded: dict[str, bytes] = {}
    for key, value in data.items():
        try:
            decoded[key] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            continue
    return decoded


def _labels(instance: str, version: str) -> dict[str, str]:
    return {
        names.LABEL_NAME: NAME,
        names.LABEL_INSTANCE: instance,
        names.LABEL_COMPONENT: "keys",
        names.LABEL_PART_OF: NAME,
        names.LABEL_VERSION: version,
        names.LABEL_MANAGED_BY: names.FIELD_MANAGER_OPERATOR,
    }
