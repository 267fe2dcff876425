"""`/token`: registry tokens for people, machines and Berth's own processes.

With a scope the answer is always a token: one that grants nothing carries the refusal, and the gateway tells it,
because clients show a refusal there and not here. Only a login, which asks for no scope, is refused here.
Sources: Distribution "Token Authentication Specification" and "Oauth2 Token Authentication" (spec/auth).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final
from urllib.parse import parse_qsl

from berth.api.base import rfc3339
from berth.api.reasons import Reason
from berth.authz.actor import Actor, actor_of
from berth.authz.grant import Grant, grant
from berth.authz.messages import MessageFacts, sentence
from berth.authz.model import Snapshot
from berth.identity.authenticator import Proof, failed
from berth.identity.credentials import Basic, MalformedCredentialsError, checked_basic, parse_basic
from berth.identity.gateway_caller import GATEWAY_TOKEN, UNKNOWN_CALLER, Caller
from berth.oci.scope import MAX_SCOPES, InvalidScopeError, Scope, parse_scopes
from berth.services.access.authorize.existence import content_of
from berth.services.access.deps import Deps
from berth.services.access.http.messages import BodyTooLargeError, Deferred, Request, Response
from berth.services.access.http.refusals import bad_token_request, login_refused, method_not_allowed
from berth.services.access.tokens.claims import claims_of
from berth.services.access.tokens.grant_cache import (
    KEPT,
    REUSED_SECONDS,
    CachedGrant,
    CachedResponse,
    GrantCache,
    holds_until,
)

_BODY_LIMIT: Final = 64 * 1024  # bytes of a form; the gateway lets no more through
_MAX_FIELDS: Final = 2 * MAX_SCOPES
_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_TOKEN_HEADERS: Final = (("content-type", "application/json"), ("cache-control", "no-store"))


class _MalformedRequestError(ValueError):
    """The request is no token request; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A token request, read. `complaint` is set when credentials were given that can not be read."""

    scopes: Sequence[str]
    basic: Basic | None
    complaint: str = ""


class TokenEndpoint:
    """GET with HTTP Basic, or POST with the OAuth2 password grant. `service` and `account` are not needed and not used:
    the scope names the registry, and the credentials the account."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._known = GrantCache()
        self._second = (0, "")  # the last one that a token was issued in, and how it is written

    def at_once(self, request: Request) -> Response | Deferred | None:
        """The answer to a request whose like was answered before, under the present policy; None for any other."""
        if request.method != "GET":
            return None
        caller = self._deps.gateway.recognized(request.headers) if GATEWAY_TOKEN in request.headers else UNKNOWN_CALLER
        if caller is None:
            return None
        authorization = request.headers.get("authorization", "")
        generation, now = self._deps.snapshot().generation, self._deps.now().timestamp()
        query_key = self._known.key(authorization, request.query)
        answered = self._known.answers.get(query_key)
        if (
            answered is not None
            and answered.grant.generation == generation
            and answered.until > now
            and answered.leaf == self._deps.tokens.leaf
        ):
            self._used(answered.grant, caller)
            return answered.answer
        scopes = _raw_scopes(request.query)
        grant = self._known.grants.get(self._known.key(authorization, scopes)) if scopes is not None else None
        if grant is None or grant.generation != generation or grant.until <= now:
            return None
        self._used(grant, caller)
        return partial(self._signed, grant, query_key)

    async def answer(self, request: Request) -> Response:
        """The answer to one token request."""
        try:
            if request.method == "GET":
                wanted = _read_get(request)
            elif request.method == "POST":
                wanted = _read_form(await request.body(_BODY_LIMIT), request.headers.get("content-type", ""))
            else:
                return method_not_allowed("GET, POST")
        except BodyTooLargeError:
            return bad_token_request(f"The form of a token request may have at most {_BODY_LIMIT} bytes.")
        except _MalformedRequestError as unreadable:
            return bad_token_request(str(unreadable))
        return await self._issue(wanted, request)

    async def _issue(self, wanted: _Wanted, request: Request) -> Response:
        caller = await self._deps.gateway.vouched(request.headers)
        if wanted.complaint:
            proof = Proof(failed(Reason.BAD_CREDENTIALS))
        else:
            proof = await self._deps.authenticator.identify(wanted.basic, self._deps.snapshot(), caller.address)
        # To prove it took its time; what changed meanwhile counts.
        snapshot, identity, now = self._deps.snapshot(), proof.identity, self._deps.now()
        actor = actor_of(snapshot, identity, now)
        if actor.failure is not None:
            self._deps.metrics.refused("token", actor.failure)
            if not wanted.scopes:
                self._deps.audit.prepared(self._granted(snapshot, actor, (), now).line, caller)
                text = wanted.complaint or sentence(actor.failure, MessageFacts(who=actor.failed_name))
                return login_refused(self._deps.host, text, retry_after=proof.retry_after).answer
        scopes = _understood(wanted.scopes)
        content = await content_of(self._deps.catalog, snapshot, actor, scopes, now)
        if content:
            snapshot, now = self._deps.snapshot(), self._deps.now()
            actor = actor_of(snapshot, identity, now)
        absent = [name for name, there in content.items() if not there]
        found = self._granted(snapshot, actor, scopes, now, absent)
        self._used(found, caller)
        kept = found.failure is None and identity.credential in KEPT and request.method == "GET"
        if not kept or content:  # what the catalog was asked for may be otherwise in a moment
            return self._signed(found, None)
        authorization = request.headers.get("authorization", "")
        written = _raw_scopes(request.query)
        if written is not None:
            self._known.grants.put(self._known.key(authorization, written), found)
        return self._signed(found, self._known.key(authorization, request.query))

    def _signed(self, grant: CachedGrant, key: bytes | None) -> Response:
        """A token with this grant; with a key it is kept, for whoever asks the same within a few seconds."""
        tokens = self._deps.tokens
        token, issued = tokens.sign(grant.claims)
        life = f'"expires_in":{tokens.lifetime},"issued_at":"{self._at(issued)}"'
        body = f'{{"token":"{token}","access_token":"{token}",{life}}}'
        answer = Response(200, _TOKEN_HEADERS, body.encode("ascii"))
        if key is not None:
            until = min(grant.until, issued + REUSED_SECONDS)
            self._known.answers.put(key, CachedResponse(grant, answer, tokens.leaf, until))
        return answer

    def _at(self, moment: int) -> str:
        if self._second[0] != moment:
            self._second = (moment, rfc3339(datetime.fromtimestamp(moment, UTC)))
        return self._second[1]

    def _used(self, grant: CachedGrant, caller: Caller) -> None:
        if grant.identity.token and grant.failure is None:
            self._deps.token_used(grant.identity.token)
        self._deps.audit.prepared(grant.line, caller)

    def _granted(
        self,
        snapshot: Snapshot,
        actor: Actor,
        scopes: Sequence[Scope],
        now: datetime,
        absent: Collection[str] = (),
    ) -> CachedGrant:
        """What this actor gets of these scopes, in every form that it is told in."""
        found = grant(snapshot, actor.identity, scopes, now, absent=absent)
        projects = sorted({entry.project for entry in found.access if entry.project})
        line = self._deps.audit.token(
            actor.identity,
            granted=_words(found.access),
            asked=_words(scopes),
            failure=actor.failure,
            generation=snapshot.generation,
        )
        return CachedGrant(
            identity=actor.identity,
            claims=claims_of(actor.identity, found.requested, [asdict(entry) for entry in found.access], projects),
            failure=actor.failure,
            line=line,
            generation=snapshot.generation,
            until=holds_until(snapshot, actor, now),
        )


def _words(scopes: Sequence[Scope | Grant]) -> str:
    return " ".join(f"{scope.type}:{scope.name}:{','.join(scope.actions)}" for scope in scopes)


def _raw_scopes(query: str) -> str | None:
    """The scopes of a query as they are written there; None where a name is written in another way than usual."""
    fields = query.split("&")
    scopes: list[str] = []
    for field in fields:
        name, _, value = field.partition("=")
        if name == "scope":
            scopes.append(value)
        elif not name.isidentifier():
            return None
    return "&".join(scopes) if len(fields) <= _MAX_FIELDS else None


def _read_get(request: Request) -> _Wanted:
    fields = _fields(request.query)
    header = request.headers.get("authorization", "")
    basic, complaint = None, ""
    if header:
        try:
            basic = parse_basic(header)
        except MalformedCredentialsError as malformed:
            complaint = str(malformed)
    return _Wanted(_scopes(fields), basic, complaint)


def _read_form(body: bytes, content_type: str) -> _Wanted:
    if content_type.partition(";")[0].strip().lower() != _FORM_TYPE:
        raise _MalformedRequestError(f"A token request by POST is a form: send Content-Type {_FORM_TYPE}.")
    try:
        fields = _fields(body.decode("ascii"))
    except UnicodeDecodeError:
        raise _MalformedRequestError("The form of a token request must be percent-encoded ASCII.") from None
    values = dict(fields)
    if values.get("grant_type") != "password":
        raise _MalformedRequestError("Only grant_type=password is served by POST; use GET with HTTP Basic instead.")
    try:
        return _Wanted(_scopes(fields), checked_basic(values.get("username", ""), values.get("password", "")))
    except MalformedCredentialsError as malformed:
        return _Wanted(_scopes(fields), None, str(malformed))


def _fields(encoded: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise _MalformedRequestError(f"A token request may have at most {_MAX_FIELDS} fields.") from None


def _scopes(fields: Sequence[tuple[str, str]]) -> list[str]:
    return [text for name, value in fields if name == "scope" for text in value.split(" ") if text]


def _understood(texts: Sequence[str]) -> tuple[Scope, ...]:
    """The scopes that the grammar knows, up to its limits. What it does not know is granted to nobody."""
    known: list[str] = []
    for text in texts[:MAX_SCOPES]:
        with suppress(InvalidScopeError):
            parse_scopes((*known, text))
            known.append(text)
    return parse_scopes(known)
