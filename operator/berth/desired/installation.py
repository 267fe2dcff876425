"""The installation's own keys: reads what is there, completes and renews it, writes it as manifests.

An authority changes in two steps, because registries and clients must know the new one before anything is signed
with it: first it is added to the bundle (`ca.crt`), at least a day later it begins to sign. Both stay in the bundle
until they end. People rotate by annotations on the Secrets. See docs/keys.md.
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
_REQUESTS: Final = (
    names.ANNOTATION_ROTATE_SIGNING_KEY,
    names.ANNOTATION_ROTATE_AUTHORITY,
    names.ANNOTATION_FORGET_AUTHORITIES,
)
_DONE: Final = "-done"  # ends the annotation in which Berth notes the value that it has honoured


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

    @property
    def trusted(self) -> str:
        """The bundle for whoever only verifies. Its order does not follow who signs, so that it changes with its
        members alone: a registry reads it at its start and restarts for each change."""
        return "".join(sorted(keys.split_bundle(self.bundle)))


@dataclass(frozen=True, slots=True)
class Requests:
    """What people ask of one Secret by annotations, and for which values that was done."""

    asked: Mapping[str, str] = field(default_factory=dict)
    done: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.asked or self.done)

    def open(self, annotation: str) -> bool:
        """Whether a value stands there that was not honoured yet."""
        value = self.asked.get(annotation, "")
        return bool(value) and value != self.done.get(annotation)

    def honour(self, annotation: str) -> Requests:
        """The same, with the present value done."""
        return replace(self, done={**self.done, annotation: self.asked.get(annotation, "")})


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a successor that people asked for has come."""

    everywhere: bool = False  # every registry runs with it
    overlap: timedelta = _ANNOUNCE  # how long it is known at least, before it signs


_UNKNOWN_REACH: Final = Reach()


@dataclass(frozen=True, slots=True)
class FoundMaterial:
    """What the cluster holds; None for what is missing or can not be read."""

    token_ca: Authority | None = None
    token_leaf: KeyPair | None = None
    tls_ca: Authority | None = None
    tls_leaf: KeyPair | None = None
    seed: bytes | None = field(default=None, repr=False)
    requests: Mapping[str, Requests] = field(default_factory=dict)  # by name of the Secret


@dataclass(frozen=True, slots=True)
class Material:
    """Everything the installation needs. The TLS part is None when somebody else provides the gateway's certificate."""

    token_ca: Authority
    token_leaf: KeyPair
    seed: bytes = field(repr=False)
    tls_ca: Authority | None = None
    tls_leaf: KeyPair | None = None
    requests: Mapping[str, Requests] = field(default_factory=dict)  # by name of the Secret


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
        requests={name: read for name, secret in secrets_by_name.items() if (read := _read_requests(secret))},
    )


def complete_material(
    found: FoundMaterial, host: str, now: datetime, *, generate_tls: bool, reach: Reach = _UNKNOWN_REACH
) -> Material:
    """Keeps what is good, makes what is missing, renews what is two thirds through its life or asked to be renewed.

    `reach` is about the successor of the token authority; how far that of the TLS authority came, nobody can know.
    Call it only with what was really read: taking an unread Secret for a missing one would replace every key.
    """
    requests = dict(found.requests)
    none = Requests()
    pair = _Pair(found.token_ca, found.token_leaf, requests.get(TOKEN_CA, none), requests.get(TOKEN_SIGNING, none))
    token = _complete(pair, "berth token CA", None, now, reach)
    requests |= {TOKEN_CA: token.of_authority, TOKEN_SIGNING: token.of_leaf}
    seed = found.seed or secrets.token_bytes(keys.SEED_BYTES)
    material = Material(token.authority, token.leaf, seed, requests=_told(requests))
    if not generate_tls:
        return material
    pair = _Pair(found.tls_ca, found.tls_leaf, requests.get(TLS_CA, none), requests.get(GATEWAY_TLS, none))
    tls = _complete(pair, "berth TLS CA", host, now, _UNKNOWN_REACH)
    requests |= {TLS_CA: tls.of_authority, GATEWAY_TLS: tls.of_leaf}
    return replace(material, tls_ca=tls.authority, tls_leaf=tls.leaf, requests=_told(requests))


def desired_installation(material: Material, namespace: str, instance: str, version: str) -> tuple[dict[str, Any], ...]:
    """The Secrets and the ConfigMap, authorities before what they signed."""

    def manifest(kind: str, name: str, **body: Any) -> dict[str, Any]:
        labels = _labels(instance, version)
        metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": labels}
        done = material.requests[name].done if name in material.requests else {}
        if done:
            metadata["annotations"] = {f"{annotation}{_DONE}": value for annotation, value in done.items()}
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


def _told(requests: Mapping[str, Requests]) -> dict[str, Requests]:
    return {name: found for name, found in requests.items() if found}


@dataclass(frozen=True, slots=True)
class _Pair:
    """An authority, its leaf, and what people ask of both, as found."""

    authority: Authority | None
    leaf: KeyPair | None
    of_authority: Requests
    of_leaf: Requests


@dataclass(frozen=True, slots=True)
class _CompletePair:
    """The same, as it shall be."""

    authority: Authority
    leaf: KeyPair
    of_authority: Requests
    of_leaf: Requests


def _complete(found: _Pair, name: str, host: str | None, now: datetime, reach: Reach) -> _CompletePair:
    """One authority and its leaf; `host` is None for the leaf that signs tokens."""
    authority, leaf, of_authority, of_leaf = found.authority, found.leaf, found.of_authority, found.of_leaf
    if authority is None or keys.expired(authority.current.certificate, now):
        authority = Authority(keys.make_ca(name, now))
    asked = authority.successor is None and of_authority.open(names.ANNOTATION_ROTATE_AUTHORITY)
    authority = _announce(authority, name, now, asked=asked)
    if asked:
        of_authority = of_authority.honour(names.ANNOTATION_ROTATE_AUTHORITY)
    changes = _changes_on_demand(authority, now, reach)
    if changes:
        authority = _succeeded(authority)
    renew = of_leaf.open(names.ANNOTATION_ROTATE_SIGNING_KEY)
    if leaf is None or changes or renew or not _leaf_is_good(leaf, authority, host, now):
        authority = _promote(authority, now)
        ca = authority.current
        leaf = keys.make_token_leaf(ca, now) if host is None else keys.make_server_leaf(ca, host, now)
        of_leaf = of_leaf.honour(names.ANNOTATION_ROTATE_SIGNING_KEY) if renew else of_leaf
    forget = of_authority.open(names.ANNOTATION_FORGET_AUTHORITIES) and authority.successor is None
    if forget and keys.is_issued_by(leaf.certificate, authority.current):
        authority = replace(authority, retired=())
        of_authority = of_authority.honour(names.ANNOTATION_FORGET_AUTHORITIES)
    return _CompletePair(authority, leaf, of_authority, of_leaf)


def waits_for_reach(authority: Authority | None, now: datetime) -> bool:
    """Whether a successor that people asked for is announced and does not sign yet. One that is there because the
    authority grows old has years."""
    return (
        authority is not None
        and authority.successor is not None
        and not keys.needs_renewal(authority.current.certificate, now)
    )


def _changes_on_demand(authority: Authority, now: datetime, reach: Reach) -> bool:
    """Whether a successor that people asked for begins to sign: when it is known everywhere, or after a day."""
    if authority.successor is None or not waits_for_reach(authority, now):
        return False
    known_for = now - keys.issued_at(authority.successor.certificate)
    return known_for >= _ANNOUNCE or (reach.everywhere and known_for >= reach.overlap)


def _leaf_is_good(leaf: KeyPair, authority: Authority, host: str | None, now: datetime) -> bool:
    issuers = [authority.current, *(KeyPair(pem, "") for pem in authority.retired)]
    return (
        keys.is_usable(leaf)
        and any(keys.is_issued_by(leaf.certificate, issuer) for issuer in issuers)
        and not keys.needs_renewal(leaf.certificate, now)
        and (host is None or keys.covers_host(leaf.certificate, host))
    )


def _announce(authority: Authority, name: str, now: datetime, *, asked: bool) -> Authority:
    """Drops predecessors that have ended, and adds a successor in time, or when somebody asks for one."""
    kept = tuple(pem for pem in authority.retired if not keys.expired(pem, now))
    successor = authority.successor
    if asked or (successor is None and keys.needs_renewal(authority.current.certificate, now)):
        successor = keys.make_ca(name, now)
    return replace(authority, successor=successor, retired=kept)


def _promote(authority: Authority, now: datetime) -> Authority:
    """Lets the successor sign from now on, if everybody has had time to learn of it."""
    successor = authority.successor
    if successor is None or now < keys.issued_at(successor.certificate) + _ANNOUNCE:
        return authority
    return _succeeded(authority)


def _succeeded(authority: Authority) -> Authority:
    """The successor signs from now on; its predecessor is trusted until it ends."""
    if authority.successor is None:
        return authority
    return Authority(authority.successor, None, (authority.current.certificate, *authority.retired))


def _authority_data(authority: Authority) -> dict[str, bytes]:
    data = {"ca.crt": authority.bundle.encode(), "ca.key": authority.current.key.encode()}
    if authority.successor:
        data["next.crt"] = authority.successor.certificate.encode()
        data["next.key"] = authority.successor.key.encode()
    return data


def _pair_data(pair: KeyPair) -> dict[str, bytes]:
    return {"tls.crt": pair.certificate.encode(), "tls.key": pair.key.encode()}


def _read_requests(secret: Mapping[str, Any]) -> Requests:
    annotations = (secret.get("metadata") or {}).get("annotations") or {}
    return Requests(
        asked={name: annotations[name] for name in _REQUESTS if name in annotations},
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
