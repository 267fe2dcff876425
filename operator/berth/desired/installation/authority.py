"""How an authority and its leaf change: rules about what was found, what people ask for, and the time. Pure.

Nothing is signed by an authority before everybody trusts it. The two authorities differ in how that comes about:

- that of tokens has a successor from its first day, which stands in every bundle. Registries read their authorities at
  their start alone, so that most of them trust the next authority long before it is to sign, and none restarts for it;
- that of the gateway's certificate gets its successor when it is time for one, and that is told for a day.

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

ANNOUNCE: Final = timedelta(days=1)
"""How long a successor is told to those who can not be asked whether they know it; nothing waits for longer."""

_TOKEN_NAME: Final = "berth token CA"
_TLS_NAME: Final = "berth TLS CA"
_ROTATE: Final = names.ANNOTATION_ROTATE_AUTHORITY


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority, its successor if there is one, and its predecessors until they end (PEM)."""

    current: KeyPair
    successor: KeyPair | None = None
    retired: tuple[str, ...] = ()
    due_since: datetime | None = None  # since when the successor is to sign; None: it stands by, or there is none

    @property
    def bundle(self) -> str:
        """All certificates to trust, the one that signs now first."""
        successor = (self.successor.certificate,) if self.successor else ()
        return "".join((self.current.certificate, *successor, *self.retired))

    @property
    def for_registries(self) -> TokenAuthorities:
        """What registries are told."""
        needed = [self.current.certificate]
        if self.successor is not None and self.due_since is not None:
            needed.append(self.successor.certificate)
        return TokenAuthorities(
            bundle=self.bundle,
            trusted=frozenset(map(keys.fingerprint, keys.split_bundle(self.bundle))),
            needed=frozenset(map(keys.fingerprint, needed)),
        )


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
    """How far the successor of the token authority has come."""

    everywhere: bool = False  # every registry runs with it
    overlap: timedelta = ANNOUNCE  # how long it is known at least, before it signs


@dataclass(frozen=True, slots=True)
class FoundPair:
    """An authority, its leaf, and what people ask of both, as found."""

    authority: Authority | None
    leaf: KeyPair | None
    of_authority: Requests
    of_leaf: Requests


@dataclass(frozen=True, slots=True)
class CompletePair:
    """The same, as it shall be."""

    authority: Authority
    leaf: KeyPair
    of_authority: Requests
    of_leaf: Requests


def complete_tokens(found: FoundPair, now: datetime, reach: Reach) -> CompletePair:
    """The authority and the leaf that sign registry tokens.

    The successor signs when somebody asked for it, or when the authority is two thirds through its life, and every
    registry runs with it, or a day has passed since.
    """
    authority = _with_standby(found.authority or Authority(keys.make_ca(_TOKEN_NAME, now)), now)
    of_authority = found.of_authority
    asked = of_authority.open(_ROTATE)
    due_since = authority.due_since
    if due_since is None and (asked or keys.needs_renewal(authority.current.certificate, now)):
        due_since = now
    authority = replace(authority, due_since=due_since)
    signs = _may_sign(authority, now, reach)
    if signs:
        authority = _with_standby(_succeeded(authority), now)
        of_authority = of_authority.honour(_ROTATE) if asked else of_authority
    made = replace(found, authority=authority, of_authority=of_authority)
    renew = signs or _leaf_is_due(found, authority, None, now)
    return _with_leaf(made, authority, None, now, renew=renew, settled=authority.due_since is None)


def complete_tls(found: FoundPair, host: str, now: datetime) -> CompletePair:
    """The authority and the certificate of the gateway, for `host`.

    A successor that somebody asked for signs after a day; one that is there because the authority grows old waits for
    the next renewal of the leaf as well.
    """
    authority, of_authority = found.authority, found.of_authority
    if authority is None or keys.expired(authority.current.certificate, now):
        authority = Authority(keys.make_ca(_TLS_NAME, now))
    asked = authority.successor is None and of_authority.open(_ROTATE)
    authority = _announced(authority, now, asked=asked)
    of_authority = of_authority.honour(_ROTATE) if asked else of_authority
    known = authority.successor is not None and now >= keys.issued_at(authority.successor.certificate) + ANNOUNCE
    on_demand = known and not keys.needs_renewal(authority.current.certificate, now)
    renew = on_demand or _leaf_is_due(found, authority, host, now)
    if known and renew:
        authority = _succeeded(authority)
    made = replace(found, authority=authority, of_authority=of_authority)
    return _with_leaf(made, authority, host, now, renew=renew, settled=authority.successor is None)


def _with_standby(authority: Authority, now: datetime) -> Authority:
    """Drops predecessors that have ended, and adds the successor where none stands by.

    A successor lives for longer: it stands by for as long as its predecessor signs, and signs for as long again.
    """
    authority = replace(authority, retired=_not_ended(authority.retired, now))
    if authority.successor is not None and not keys.expired(authority.successor.certificate, now):
        return authority
    return replace(authority, successor=keys.make_ca(_TOKEN_NAME, now, keys.STANDBY_LIFETIME), due_since=None)


def _announced(authority: Authority, now: datetime, *, asked: bool) -> Authority:
    """Drops predecessors that have ended, and adds a successor in time, or when somebody asks for one."""
    successor = authority.successor
    if asked or (successor is None and keys.needs_renewal(authority.current.certificate, now)):
        successor = keys.make_ca(_TLS_NAME, now)
    return replace(authority, successor=successor, retired=_not_ended(authority.retired, now))


def _not_ended(certificates: tuple[str, ...], now: datetime) -> tuple[str, ...]:
    return tuple(pem for pem in certificates if not keys.expired(pem, now))


def _may_sign(authority: Authority, now: datetime, reach: Reach) -> bool:
    """Whether the successor of the token authority begins to sign: when it is known everywhere, or after a day."""
    if authority.successor is None or authority.due_since is None:
        return False
    if keys.expired(authority.current.certificate, now):
        return True
    known_for = now - keys.issued_at(authority.successor.certificate)
    return now - authority.due_since >= ANNOUNCE or (reach.everywhere and known_for >= reach.overlap)


def _succeeded(authority: Authority) -> Authority:
    """The successor signs from now on; its predecessor is trusted until it ends."""
    if authority.successor is None:
        return authority
    return Authority(authority.successor, None, (authority.current.certificate, *authority.retired))


def _leaf_is_due(found: FoundPair, authority: Authority, host: str | None, now: datetime) -> bool:
    """Whether a new leaf is to be made; `host` is None for the leaf that signs tokens."""
    leaf = found.leaf
    if leaf is None or found.of_leaf.open(names.ANNOTATION_ROTATE_SIGNING_KEY):
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
    """The pair with its leaf, a new one if that is to be; forgets predecessors that somebody wants forgotten.

    `settled` tells whether no successor is on its way: until it signs, nobody is forgotten.
    """
    leaf, of_authority, of_leaf = found.leaf, found.of_authority, found.of_leaf
    if leaf is None or renew:
        ca = authority.current
        leaf = keys.make_token_leaf(ca, now) if host is None else keys.make_server_leaf(ca, host, now)
        if of_leaf.open(names.ANNOTATION_ROTATE_SIGNING_KEY):
            of_leaf = of_leaf.honour(names.ANNOTATION_ROTATE_SIGNING_KEY)
    forget = settled and of_authority.open(names.ANNOTATION_FORGET_AUTHORITIES)
    if forget and keys.is_issued_by(leaf.certificate, authority.current):
        authority = replace(authority, retired=())
        of_authority = of_authority.honour(names.ANNOTATION_FORGET_AUTHORITIES)
    return CompletePair(authority, leaf, of_authority, of_leaf)
