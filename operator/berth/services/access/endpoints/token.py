"""`/token`: registry tokens for people, machines and Berth's own processes.

A request with a scope always gets a token. One that grants nothing carries the reason, and the gateway refuses with it,
because clients show a refusal by the gateway and not one by the token endpoint. Only a login, a request without scope,
is refused here.
Sources: Distribution "Token Authentication Specification" and "Oauth2 Token Authentication" (spec/auth).
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
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
from berth.identity.authenticator import AuthenticationResult, failed_identity
from berth.identity.credentials import Basic, MalformedCredentialsError, checked_basic, parse_basic
from berth.identity.gateway_caller import Caller
from berth.oci.scope import MAX_SCOPES, InvalidScopeError, Scope, parse_scopes
from berth.services.access.authorize.existence import existence_by_name
from berth.services.access.decision_log import DecisionLog
from berth.services.access.deps import Deps
from berth.services.access.http.messages import BodyTooLargeError, Deferred, Handled, Request, Response, complete
from berth.services.access.http.refusals import bad_token_request, login_refused, method_not_allowed
from berth.services.access.tokens.claims import claims_of
from berth.services.access.tokens.grant_cache import (
    CACHEABLE,
    RESPONSE_SECONDS,
    CachedGrant,
    CachedResponse,
    GrantCache,
)
from berth.services.access.tokens.validity import Validity, validity_of

_BODY_LIMIT: Final = 64 * 1024  # bytes of a form; the gateway lets no more through
_MAX_FIELDS: Final = 2 * MAX_SCOPES
_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_TOKEN_HEADERS: Final = (("content-type", "application/json"), ("cache-control", "no-store"))


class _MalformedRequestError(ValueError):
    """The request is not a token request; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class _TokenRequest:
    """A parsed token request.

    `problem`: why its credentials are malformed; empty if they are not.
    """

    scopes: Sequence[str]
    basic: Basic | None
    problem: str = ""


class TokenEndpoint:
    """GET with HTTP Basic, or POST with the OAuth2 password grant.

    `service` and `account` are ignored: the scope names the registry, and the credentials the account.
    """

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._log = DecisionLog(deps.audit, deps.metrics, endpoint="token")
        self._cache = GrantCache()
        self._issued_at = (0, "")  # the last second in which a token was issued, and its RFC 3339 form

    def handle(self, request: Request) -> Handled:
        """Respond to one token request: at once where its grant is cached."""
        caller = self._deps.gateway.identify(request.headers)
        if isinstance(caller, Caller):
            return self._respond(request, caller)
        return self._identified(request, caller)

    async def _identified(self, request: Request, caller: Awaitable[Caller]) -> Response:
        return await complete(self._respond(request, await caller))

    def _respond(self, request: Request, caller: Caller) -> Handled:
        if request.method == "POST":
            return self._respond_to_form(request, caller)
        if request.method != "GET":
            return method_not_allowed("GET, POST")
        cached = self._cached(request, caller)
        if cached is not None:
            return cached
        try:
            return self._issue(_parse_query(request), request, caller)
        except _MalformedRequestError as malformed:
            return bad_token_request(str(malformed))

    async def _respond_to_form(self, request: Request, caller: Caller) -> Response:
        try:
            form = await request.body(_BODY_LIMIT)
            token_request = _parse_form(form, request.headers.get("content-type", ""))
        except BodyTooLargeError:
            return bad_token_request(f"The form of a token request may have at most {_BODY_LIMIT} bytes.")
        except _MalformedRequestError as malformed:
            return bad_token_request(str(malformed))
        return await self._issue(token_request, request, caller)

    def _cached(self, request: Request, caller: Caller) -> Response | Deferred | None:
        authorization = request.headers.get("authorization", "")
        query_key = self._cache.key(authorization, request.query)
        cached = self._cache.responses.get(query_key)
        if cached is not None and self._deps.holds(cached.validity):
            self._record(cached.grant, caller)
            return cached.response
        scopes = _raw_scopes(request.query)
        grant = self._cache.grants.get(self._cache.key(authorization, scopes)) if scopes is not None else None
        if grant is None or not self._deps.holds(grant.validity):
            return None
        self._record(grant, caller)
        return partial(self._signed, grant, query_key)

    async def _issue(self, token_request: _TokenRequest, request: Request, caller: Caller) -> Response:
        proof = await self._identify(token_request, caller)
        # Verification took time: decide on the policy and the time after it.
        snapshot, now = self._deps.snapshot(), self._deps.now()
        actor = actor_of(snapshot, proof.identity, now)
        if actor.failure is not None and not token_request.scopes:
            grant = self._grant(snapshot, actor, (), now)
            self._log.repeat(grant.line, caller, failure=actor.failure)
            message = token_request.problem or sentence(actor.failure, MessageFacts(who=actor.failed_name))
            return login_refused(self._deps.host, message, retry_after=proof.retry_after).response
        scopes = _understood(token_request.scopes)
        existence = await existence_by_name(self._deps.catalog, snapshot, actor, scopes, now)
        if existence:
            snapshot, now = self._deps.snapshot(), self._deps.now()
            actor = actor_of(snapshot, proof.identity, now)
        absent = [name for name, exists in existence.items() if not exists]
        grant = self._grant(snapshot, actor, scopes, now, absent)
        self._record(grant, caller)
        if existence:  # it may change at any moment, and no generation with it
            return self._signed(grant, None)
        return self._signed(grant, self._cache_grant(grant, request))

    async def _identify(self, token_request: _TokenRequest, caller: Caller) -> AuthenticationResult:
        if token_request.problem:
            return AuthenticationResult(failed_identity(Reason.BAD_CREDENTIALS))
        return await self._deps.authenticator.identify(token_request.basic, self._deps.snapshot(), caller.address)

    def _cache_grant(self, grant: CachedGrant, request: Request) -> bytes | None:
        """Cache this grant; the key for the response, None where neither may be cached."""
        if grant.failure is not None or grant.identity.credential not in CACHEABLE or request.method != "GET":
            return None
        authorization = request.headers.get("authorization", "")
        scopes = _raw_scopes(request.query)
        if scopes is not None:
            self._cache.grants.put(self._cache.key(authorization, scopes), grant)
        return self._cache.key(authorization, request.query)

    def _signed(self, grant: CachedGrant, key: bytes | None) -> Response:
        """A token with this grant; with a key, the response is cached."""
        tokens = self._deps.tokens
        token, issued = tokens.sign(grant.claims)
        life = f'"expires_in":{tokens.lifetime},"issued_at":"{self._rfc3339(issued)}"'
        body = f'{{"token":"{token}","access_token":"{token}",{life}}}'
        response = Response(200, _TOKEN_HEADERS, body.encode("ascii"))
        if key is not None:
            until = min(grant.validity.until, issued + RESPONSE_SECONDS)
            validity = Validity(grant.validity.generation, tokens.key_generation, until)
            self._cache.responses.put(key, CachedResponse(grant, response, validity))
        return response

    def _rfc3339(self, second: int) -> str:
        if self._issued_at[0] != second:
            self._issued_at = (second, rfc3339(datetime.fromtimestamp(second, UTC)))
        return self._issued_at[1]

    def _record(self, grant: CachedGrant, caller: Caller) -> None:
        if grant.identity.token and grant.failure is None:
            self._deps.token_used(grant.identity.token)
        self._log.repeat(grant.line, caller, failure=grant.failure)

    def _grant(
        self,
        snapshot: Snapshot,
        actor: Actor,
        scopes: Sequence[Scope],
        now: datetime,
        absent: Collection[str] = (),
    ) -> CachedGrant:
        """What this actor is granted for these scopes."""
        found = grant(snapshot, actor.identity, scopes, now, absent=absent)
        projects = sorted({entry.project for entry in found.access if entry.project})
        line = self._log.prepare_token(
            actor.identity,
            granted=_words(found.access),
            requested=_words(scopes),
            failure=actor.failure,
            generation=snapshot.generation,
        )
        return CachedGrant(
            identity=actor.identity,
            claims=claims_of(actor.identity, found.requested, [asdict(entry) for entry in found.access], projects),
            failure=actor.failure,
            line=line,
            validity=validity_of(snapshot, actor, self._deps.tokens.key_generation, now),
        )


def _words(scopes: Sequence[Scope | Grant]) -> str:
    return " ".join(f"{scope.type}:{scope.name}:{','.join(scope.actions)}" for scope in scopes)


def _raw_scopes(query: str) -> str | None:
    """The scopes of a query, unparsed.

    None for a query with unusual field names, whose scopes may be encoded.
    """
    fields = query.split("&")
    scopes: list[str] = []
    for field in fields:
        name, _, value = field.partition("=")
        if name == "scope":
            scopes.append(value)
        elif not name.isidentifier():
            return None
    return "&".join(scopes) if len(fields) <= _MAX_FIELDS else None


def _parse_query(request: Request) -> _TokenRequest:
    fields = _fields(request.query)
    header = request.headers.get("authorization", "")
    basic, problem = None, ""
    if header:
        try:
            basic = parse_basic(header)
        except MalformedCredentialsError as malformed:
            problem = str(malformed)
    return _TokenRequest(_scopes(fields), basic, problem)


def _parse_form(body: bytes, content_type: str) -> _TokenRequest:
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
        return _TokenRequest(_scopes(fields), checked_basic(values.get("username", ""), values.get("password", "")))
    except MalformedCredentialsError as malformed:
        return _TokenRequest(_scopes(fields), None, str(malformed))


def _fields(encoded: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise _MalformedRequestError(f"A token request may have at most {_MAX_FIELDS} fields.") from None


def _scopes(fields: Sequence[tuple[str, str]]) -> list[str]:
    return [text for name, value in fields if name == "scope" for text in value.split(" ") if text]


def _understood(texts: Sequence[str]) -> tuple[Scope, ...]:
    """The valid scopes, up to the limits of the grammar.

    Other scopes are never granted.
    """
    valid: list[str] = []
    for text in texts[:MAX_SCOPES]:
        with suppress(InvalidScopeError):
            parse_scopes((*valid, text))
            valid.append(text)
    return parse_scopes(valid)
