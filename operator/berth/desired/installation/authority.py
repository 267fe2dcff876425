"""Renewal and rotation of an authority and its leaf, by time and by request. Pure.

An authority signs only after all its verifiers trust it:

- The token authority always has a successor, which every bundle contains. Registries read the bundle only when they
  start, so most of them trust the successor long before it signs, and no registry restarts for it.
- The TLS authority gets a successor when it is due or requested, and publishes it for a day before it signs.

See docs/keys.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from berth.api import names
from berth.desired.inputs import TokenAuthorities
from berth.desired.installation import keys
from berth.desired.installation.keys import KeyPair

ANNOUNCE_PERIOD: Final = timedelta(days=1)
"""How long a successor is published before it signs when Berth cannot check who trusts it; also the longest wait."""

_TOKEN_NAME: Final = "berth token CA"
_TLS_NAME: Final = "berth TLS CA"
_ROTATE: Final = names.ANNOTATION_ROTATE_AUTHORITY


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority, its successor if any, and its predecessors until they expire (PEM)."""

    current: KeyPair
    successor: KeyPair | None = None
    retired: tuple[str, ...] = ()
    due_since: datetime | None = None  # since when the successor should sign; None: on standby, or no successor

    @property
    def bundle(self) -> str:
        """All certificates to trust, the signing one first."""
        successor = (self.successor.certificate,) if self.successor else ()
        return "".join((self.current.certificate, *successor, *self.retired))

    @property
    def token_authorities(self) -> TokenAuthorities:
        """The authorities for registries."""
        required = [self.current.certificate]
        if self.successor is not None and self.due_since is not None:
            required.append(self.successor.certificate)
        return TokenAuthorities(
            bundle=self.bundle,
            trusted=frozenset(map(keys.fingerprint, keys.split_bundle(self.bundle))),
            required=frozenset(map(keys.fingerprint, required)),
        )


@dataclass(frozen=True, slots=True)
class RotationRequests:
    """Requests in one Secret's annotations: the requested value of each annotation, and the last value done."""

    requested: Mapping[str, str] = field(default_factory=dict)
    done: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.requested or self.done)

    def is_pending(self, annotation: str) -> bool:
        """Whether the annotation has a value that is not done yet."""
        value = self.requested.get(annotation, "")
        return bool(value) and value != self.done.get(annotation)

    def mark_done(self, annotation: str) -> RotationRequests:
        """A copy with the present value done."""
        return replace(self, done={**self.done, annotation: self.requested.get(annotation, "")})


@dataclass(frozen=True, slots=True)
class SuccessorRollout:
    """Progress of distributing the token authority's successor."""

    is_complete: bool = False  # every registry trusts it
    overlap: timedelta = ANNOUNCE_PERIOD  # shortest time between its creation and its first signature


@dataclass(frozen=True, slots=True)
class FoundPair:
    """An authority, its leaf, and the requests for both, as read."""

    authority: Authority | None
    leaf: KeyPair | None
    authority_requests: RotationRequests
    leaf_requests: RotationRequests


@dataclass(frozen=True, slots=True)
class CompletePair:
    """An authority, its leaf, and the requests for both, complete and renewed."""

    authority: Authority
    leaf: KeyPair
    authority_requests: RotationRequests
    leaf_requests: RotationRequests


def complete_tokens(found: FoundPair, now: datetime, rollout: SuccessorRollout) -> CompletePair:
    """Complete and renew the authority and the leaf that sign registry tokens.

    The successor is due on request, or after two thirds of the authority's life. It signs as soon as every registry
    trusts it, at the latest a day later.
    """
    authority = _with_standby(found.authority or Authority(keys.make_ca(_TOKEN_NAME, now)), now)
    authority_requests = found.authority_requests
    is_requested = authority_requests.is_pending(_ROTATE)
    due_since = authority.due_since
    if due_since is None and (is_requested or keys.needs_renewal(authority.current.certificate, now)):
        due_since = now
    authority = replace(authority, due_since=due_since)
    promote = _can_sign(authority, now, rollout)
    if promote:
        authority = _with_standby(_promote(authority), now)
        authority_requests = authority_requests.mark_done(_ROTATE) if is_requested else authority_requests
    pair = replace(found, authority=authority, authority_requests=authority_requests)
    renew = promote or _leaf_is_due(found, authority, None, now)
    return _with_leaf(pair, authority, None, now, renew=renew, settled=authority.due_since is None)


def complete_tls(found: FoundPair, host: str, now: datetime) -> CompletePair:
    """Complete and renew the authority and the certificate of the gateway, for `host`.

    A requested successor signs after a day. One that was created because of the authority's age also waits for the
    next renewal of the leaf.
    """
    authority, authority_requests = found.authority, found.authority_requests
    if authority is None or keys.is_expired(authority.current.certificate, now):
        authority = Authority(keys.make_ca(_TLS_NAME, now))
    is_requested = authority.successor is None and authority_requests.is_pending(_ROTATE)
    authority = _with_announced(authority, now, is_requested=is_requested)
    authority_requests = authority_requests.mark_done(_ROTATE) if is_requested else authority_requests
    successor = authority.successor
    is_announced = successor is not None and now >= keys.issued_at(successor.certificate) + ANNOUNCE_PERIOD
    on_demand = is_announced and not keys.needs_renewal(authority.current.certificate, now)
    renew = on_demand or _leaf_is_due(found, authority, host, now)
    if is_announced and renew:
        authority = _promote(authority)
    pair = replace(found, authority=authority, authority_requests=authority_requests)
    return _with_leaf(pair, authority, host, now, renew=renew, settled=authority.successor is None)


def _with_standby(authority: Authority, now: datetime) -> Authority:
    """Drop expired predecessors, and add a standby successor if there is none.

    A successor has a longer life: it is on standby while its predecessor signs, and then signs for as long.
    """
    authority = replace(authority, retired=_not_expired(authority.retired, now))
    if authority.successor is not None and not keys.is_expired(authority.successor.certificate, now):
        return authority
    return replace(authority, successor=keys.make_ca(_TOKEN_NAME, now, keys.STANDBY_LIFETIME), due_since=None)


def _with_announced(authority: Authority, now: datetime, *, is_requested: bool) -> Authority:
    """Drop expired predecessors, and add a successor when it is due or requested."""
    successor = authority.successor
    if is_requested or (successor is None and keys.needs_renewal(authority.current.certificate, now)):
        successor = keys.make_ca(_TLS_NAME, now)
    return replace(authority, successor=successor, retired=_not_expired(authority.retired, now))


def _not_expired(certificates: tuple[str, ...], now: datetime) -> tuple[str, ...]:
    return tuple(pem for pem in certificates if not keys.is_expired(pem, now))


def _can_sign(authority: Authority, now: datetime, rollout: SuccessorRollout) -> bool:
    """Whether the token authority's successor starts to sign: all registries trust it, or it is due for a day."""
    if authority.successor is None or authority.due_since is None:
        return False
    if keys.is_expired(authority.current.certificate, now):
        return True
    age = now - keys.issued_at(authority.successor.certificate)
    return now - authority.due_since >= ANNOUNCE_PERIOD or (rollout.is_complete and age >= rollout.overlap)


def _promote(authority: Authority) -> Authority:
    """Make the successor the signing authority; its predecessor is trusted until it expires."""
    if authority.successor is None:
        return authority
    return Authority(authority.successor, None, (authority.current.certificate, *authority.retired))


def _leaf_is_due(found: FoundPair, authority: Authority, host: str | None, now: datetime) -> bool:
    """Whether to create a new leaf; `host` is None for the leaf that signs tokens."""
    leaf = found.leaf
    if leaf is None or found.leaf_requests.is_pending(names.ANNOTATION_ROTATE_SIGNING_KEY):
        return True
    issuers = [authority.current, *(KeyPair(pem, "") for pem in authority.retired)]
    return not (
        keys.is_usable(leaf)
        and any(keys.is_issued_by(leaf.certificate, issuer) for issuer in issuers)
        and not keys.needs_renewal(leaf.certificate, now)
        and (host is None or keys.covers_host(leaf.certificate, host))
    )


def _with_leaf(
    found: FoundPair, authority: Authority, host: str | None, now: datetime, *, renew: bool, settled: bool
) -> CompletePair:
    """The pair with its leaf, a new one if `renew`; removes predecessors on request.

    `settled`: no successor is about to sign. Until then no predecessor is removed.
    """
    leaf, authority_requests, leaf_requests = found.leaf, found.authority_requests, found.leaf_requests
    if leaf is None or renew:
        ca = authority.current
        leaf = keys.make_token_leaf(ca, now) if host is None else keys.make_server_leaf(ca, host, now)
        if leaf_requests.is_pending(names.ANNOTATION_ROTATE_SIGNING_KEY):
            leaf_requests = leaf_requests.mark_done(names.ANNOTATION_ROTATE_SIGNING_KEY)
    forget = settled and authority_requests.is_pending(names.ANNOTATION_FORGET_AUTHORITIES)
    if forget and keys.is_issued_by(leaf.certificate, authority.current):
        authority = replace(authority, retired=())
        authority_requests = authority_requests.mark_done(names.ANNOTATION_FORGET_AUTHORITIES)
    return CompletePair(authority, leaf, authority_requests, leaf_requests)
