"""`/token`: registry tokens for people, machines and Berth's own processes.

With a scope the answer is always a token: one that grants nothing carries the refusal, and the gateway tells it,
because clients show a refusal there and not here. Only a login, which asks for no scope, is refused here.
Sources: Distribution "Token Authentication Specification" and "Oauth2 Token Authentication" (spec/auth).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

from berth.access.actor import actor_of
from berth.access.grant import grant
from berth.access.model import Identity, Snapshot
from berth.access.scope import MAX_SCOPES, InvalidScope, Scope, parse_scopes
from berth.access.sentences import Facts, sentence
from berth.api.base import rfc3339
from berth.api.reasons import Reason
from berth.services.access.answers import bad_token_request, login_refused, method_not_allowed
from berth.services.access.authenticator import Proof, failed
from berth.services.access.credentials import Basic, MalformedCredentials, checked_basic, parse_basic
from berth.services.access.deps import Deps
from berth.services.access.door import Caller
from berth.services.access.exchange import Answer, BodyTooLarge, Request, json_answer

_BODY_LIMIT: Final = 64 * 1024  # bytes of a form; the gateway lets no more through
_MAX_FIELDS: Final = 2 * MAX_SCOPES
_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_NO_STORE: Final = (("cache-control", "no-store"),)


class _Unreadable(ValueError):  # noqa: N818 - named for what the client sent
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

    async def answer(self, request: Request) -> Answer:
        """The answer to one token request."""
        try:
            if request.method == "GET":
                wanted = _read_get(request)
            elif request.method == "POST":
                wanted = _read_form(await request.body(_BODY_LIMIT), request.headers.get("content-type", ""))
            else:
                return method_not_allowed("GET, POST")
        except BodyTooLarge:
            return bad_token_request(f"The form of a token request may have at most {_BODY_LIMIT} bytes.")
        except _Unreadable as unreadable:
            return bad_token_request(str(unreadable))
        return await self._issue(wanted, request.headers)

    async def _issue(self, wanted: _Wanted, headers: Mapping[str, str]) -> Answer:
        caller = await self._deps.gateway.vouched(headers)
        if wanted.complaint:
            proof = Proof(failed(Reason.BAD_CREDENTIALS))
        else:
            proof = await self._deps.authenticator.identify(wanted.basic, self._deps.snapshot(), caller.address)
        # To prove it took its time; what changed meanwhile counts.
        snapshot, identity = self._deps.snapshot(), proof.identity
        actor = actor_of(snapshot, identity, self._deps.now())
        if actor.failure is None:
            if identity.token:
                self._deps.token_used(identity.token)
        else:
            self._deps.metrics.refused("token", actor.failure)
            if not wanted.scopes:
                self._note(identity, (), (), actor.failure, caller, snapshot)
                text = wanted.complaint or sentence(actor.failure, Facts(who=actor.to_blame))
                return login_refused(self._deps.host, text, retry_after=proof.retry_after).answer
        return self._signed(identity, _understood(wanted.scopes), actor.failure, caller, snapshot)

    def _signed(
        self, identity: Identity, scopes: Sequence[Scope], failure: Reason | None, caller: Caller, snapshot: Snapshot
    ) -> Answer:
        granted = grant(snapshot, identity, scopes, self._deps.now())
        projects = sorted({entry.project for entry in granted.access if entry.project})
        token, issued = self._deps.tokens.sign(
            identity, granted.asked, [asdict(entry) for entry in granted.access], projects
        )
        self._note(
            identity,
            [f"{entry.type}:{entry.name}:{','.join(entry.actions)}" for entry in granted.access],
            [f"{scope.type}:{scope.name}:{','.join(scope.actions)}" for scope in scopes],
            failure,
            caller,
            snapshot,
        )
        document = {
            "token": token,
            "access_token": token,
            "expires_in": self._deps.tokens.lifetime,
            "issued_at": rfc3339(datetime.fromtimestamp(issued, UTC)),
        }
        return json_answer(200, document, _NO_STORE)

    def _note(
        self,
        identity: Identity,
        granted: Sequence[str],
        asked: Sequence[str],
        failure: Reason | None,
        caller: Caller,
        snapshot: Snapshot,
    ) -> None:
        self._deps.audit.token_issued(
            identity,
            granted=granted,
            asked=asked,
            failure=failure,
            caller=caller,
            generation=snapshot.generation,
        )


def _read_get(request: Request) -> _Wanted:
    fields = _fields(request.query)
    header = request.headers.get("authorization", "")
    basic, complaint = None, ""
    if header:
        try:
            basic = parse_basic(header)
        except MalformedCredentials as malformed:
            complaint = str(malformed)
    return _Wanted(_scopes(fields), basic, complaint)


def _read_form(body: bytes, content_type: str) -> _Wanted:
    if content_type.partition(";")[0].strip().lower() != _FORM_TYPE:
        raise _Unreadable(f"A token request by POST is a form: send Content-Type {_FORM_TYPE}.")
    try:
        fields = _fields(body.decode("ascii"))
    except UnicodeDecodeError:
        raise _Unreadable("The form of a token request must be percent-encoded ASCII.") from None
    values = dict(fields)
    if values.get("grant_type") != "password":
        raise _Unreadable("Only grant_type=password is served by POST; use GET with HTTP Basic instead.")
    try:
        return _Wanted(_scopes(fields), checked_basic(values.get("username", ""), values.get("password", "")))
    except MalformedCredentials as malformed:
        return _Wanted(_scopes(fields), None, str(malformed))


def _fields(encoded: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise _Unreadable(f"A token request may have at most {_MAX_FIELDS} fields.") from None


def _scopes(fields: Sequence[tuple[str, str]]) -> list[str]:
    return [text for name, value in fields if name == "scope" for text in value.split(" ") if text]


def _understood(texts: Sequence[str]) -> tuple[Scope, ...]:
    """The scopes that the grammar knows, up to its limits. What it does not know is granted to nobody."""
    known: list[str] = []
    for text in texts[:MAX_SCOPES]:
        with suppress(InvalidScope):
            parse_scopes((*known, text))
            known.append(text)
    return parse_scopes(known)
