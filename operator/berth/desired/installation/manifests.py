"""The installation's key material: read it from Secrets, complete and renew it, build its manifests.

Rotation is requested by annotations on the Secrets; the rules are in `desired/installation/authority.py`. See
docs/keys.md.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from berth.api import names
from berth.desired.installation import keys
from berth.desired.installation.authority import (
    Authority,
    FoundPair,
    RotationRequests,
    SuccessorRollout,
    complete_tls,
    complete_tokens,
)
from berth.desired.installation.keys import KeyPair
from berth.desired.labels import component_labels

TOKEN_CA: Final = "berth-token-ca"
TOKEN_SIGNING: Final = "berth-token-signing"
TLS_CA: Final = "berth-tls-ca"
GATEWAY_TLS: Final = "berth-gateway-tls"
SEED: Final = "berth-install"
PUBLIC_CA: Final = "berth-ca"

_REQUESTS: Final = (
    names.ANNOTATION_ROTATE_SIGNING_KEY,
    names.ANNOTATION_ROTATE_AUTHORITY,
    names.ANNOTATION_FORGET_AUTHORITIES,
)
_DONE: Final = "-done"  # suffix of the annotation with the last requested value that is done
_UNKNOWN_ROLLOUT: Final = SuccessorRollout()


@dataclass(frozen=True, slots=True)
class FoundMaterial:
    """Key material as read from the cluster; None for a part that is missing or invalid."""

    token_ca: Authority | None = None
    token_leaf: KeyPair | None = None
    tls_ca: Authority | None = None
    tls_leaf: KeyPair | None = None
    seed: bytes | None = field(default=None, repr=False)
    requests: Mapping[str, RotationRequests] = field(default_factory=dict)  # by name of the Secret


@dataclass(frozen=True, slots=True)
class Material:
    """Complete key material. The TLS part is None when Berth does not create the gateway's certificate."""

    token_ca: Authority
    token_leaf: KeyPair
    seed: bytes = field(repr=False)
    tls_ca: Authority | None = None
    tls_leaf: KeyPair | None = None
    requests: Mapping[str, RotationRequests] = field(default_factory=dict)  # by name of the Secret


def read_material(secrets_by_name: Mapping[str, Mapping[str, Any]]) -> FoundMaterial:
    """Read key material from the Secrets of Berth's namespace, as the API server returns them."""
    data = {name: _decode(secret.get("data") or {}) for name, secret in secrets_by_name.items()}
    seed = data.get(SEED, {}).get("seed", b"")
    return FoundMaterial(
        token_ca=_read_authority(data.get(TOKEN_CA, {})),
        token_leaf=_read_pair(data.get(TOKEN_SIGNING, {}), "tls"),
        tls_ca=_read_authority(data.get(TLS_CA, {})),
        tls_leaf=_read_pair(data.get(GATEWAY_TLS, {}), "tls"),
        seed=seed if len(seed) >= keys.SEED_BYTES else None,
        requests={name: read for name, secret in secrets_by_name.items() if (read := _read_requests(secret))},
    )


def complete_material(
    found: FoundMaterial, host: str, now: datetime, *, generate_tls: bool, rollout: SuccessorRollout = _UNKNOWN_ROLLOUT
) -> Material:
    """Keep valid keys, create missing ones, and renew keys on request or after two thirds of their life.

    `rollout` is that of the token authority's successor in `found`. Call this only with Secrets that were really read:
    an unread Secret would count as missing, and its keys would be replaced.
    """
    requests = dict(found.requests)
    none = RotationRequests()
    pair = FoundPair(found.token_ca, found.token_leaf, requests.get(TOKEN_CA, none), requests.get(TOKEN_SIGNING, none))
    token = complete_tokens(pair, now, rollout)
    requests |= {TOKEN_CA: token.authority_requests, TOKEN_SIGNING: token.leaf_requests}
    seed = found.seed or secrets.token_bytes(keys.SEED_BYTES)
    material = Material(token.authority, token.leaf, seed, requests=_non_empty(requests))
    if not generate_tls:
        return material
    pair = FoundPair(found.tls_ca, found.tls_leaf, requests.get(TLS_CA, none), requests.get(GATEWAY_TLS, none))
    tls = complete_tls(pair, host, now)
    requests |= {TLS_CA: tls.authority_requests, GATEWAY_TLS: tls.leaf_requests}
    return replace(material, tls_ca=tls.authority, tls_leaf=tls.leaf, requests=_non_empty(requests))


def desired_installation(material: Material, namespace: str, instance: str, version: str) -> tuple[dict[str, Any], ...]:
    """The Secrets and the ConfigMap, authorities before their leaves."""

    def manifest(kind: str, name: str, **body: Any) -> dict[str, Any]:
        labels = component_labels("keys", instance, version)
        metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": labels}
        done = material.requests[name].done if name in material.requests else {}
        if done:
            metadata["annotations"] = {f"{annotation}{_DONE}": value for annotation, value in done.items()}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **body}

    def secret(name: str, data: Mapping[str, bytes], kind: str = "Opaque") -> dict[str, Any]:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        return manifest("Secret", name, type=kind, data=encoded)

    manifests = [
        secret(SEED, {"seed": material.seed}),
        secret(TOKEN_CA, _authority_data(material.token_ca)),
        # With the authorities, so that replicas of access trust each other's tokens while a new leaf propagates.
        secret(
            TOKEN_SIGNING,
            {**_pair_data(material.token_leaf), "ca.crt": material.token_ca.bundle.encode()},
            "kubernetes.io/tls",
        ),
    ]
    if material.tls_ca and material.tls_leaf:
        manifests.append(secret(TLS_CA, _authority_data(material.tls_ca)))
        manifests.append(secret(GATEWAY_TLS, _pair_data(material.tls_leaf), "kubernetes.io/tls"))
        manifests.append(manifest("ConfigMap", PUBLIC_CA, data={"ca.crt": material.tls_ca.bundle}))
    return tuple(manifests)


def _non_empty(requests: Mapping[str, RotationRequests]) -> dict[str, RotationRequests]:
    return {name: request for name, request in requests.items() if request}


def _authority_data(authority: Authority) -> dict[str, bytes]:
    data = {"ca.crt": authority.bundle.encode(), "ca.key": authority.current.key.encode()}
    if authority.successor:
        data["next.crt"] = authority.successor.certificate.encode()
        data["next.key"] = authority.successor.key.encode()
    if authority.due_since:
        data["next.since"] = authority.due_since.isoformat().encode()
    return data


def _pair_data(pair: KeyPair) -> dict[str, bytes]:
    return {"tls.crt": pair.certificate.encode(), "tls.key": pair.key.encode()}


def _read_requests(secret: Mapping[str, Any]) -> RotationRequests:
    annotations = (secret.get("metadata") or {}).get("annotations") or {}
    return RotationRequests(
        requested={name: annotations[name] for name in _REQUESTS if name in annotations},
        done={name: annotations[f"{name}{_DONE}"] for name in _REQUESTS if f"{name}{_DONE}" in annotations},
    )


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
    return Authority(pair, successor, retired, _read_time(data.get("next.since", b"")))


def _read_time(text: bytes) -> datetime | None:
    try:
        read = datetime.fromisoformat(text.decode())
    except ValueError:
        return None
    return read if read.tzinfo else None


def _read_pair(data: Mapping[str, bytes], stem: str) -> KeyPair | None:
    certificate, key = data.get(f"{stem}.crt"), data.get(f"{stem}.key")
    if not certificate or not key:
        return None
    return KeyPair(certificate.decode(errors="replace"), key.decode(errors="replace"))


def _decode(data: Mapping[str, str]) -> dict[str, bytes]:
    """Decode a Secret's data; an entry that is not base64 counts as missing."""
    decoded: dict[str, bytes] = {}
    for key, value in data.items():
        try:
            decoded[key] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            continue
    return decoded
