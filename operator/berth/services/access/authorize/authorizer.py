"""Decides requests to the registry API, for the gateway and for this service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from berth.api.policy import Action
from berth.api.reasons import Reason
from berth.authz.actor import actor_of
from berth.authz.decide import credential_failure, decide, is_allowed
from berth.authz.messages import MessageFacts, sentence
from berth.authz.model import ANONYMOUS, AccessRequest, CredentialKind, Decision, Snapshot
from berth.identity.gateway_caller import Caller
from berth.oci.request import RegistryRequest, Route
from berth.runtime.bounded_cache import BoundedCache
from berth.services.access.authorize.existence import needs_catalog, with_existence
from berth.services.access.decision_log import DecisionLog
from berth.services.access.deps import Deps
from berth.services.access.http.refusals import Refusal, challenge, denied, with_page
from berth.services.access.tokens.claims import GrantedToken
from berth.services.access.tokens.registry_tokens import InvalidTokenError
from berth.services.access.tokens.validity import Validity, validity_of

_CACHED_DECISIONS: Final = 2_000
_CACHED_BYTES: Final = 16 * 1024 * 1024
_OBJECT_BYTES: Final = 1024  # of an entry besides its Authorization header
_NO_TOKEN: Final = GrantedToken(identity=ANONYMOUS, requested={}, granted={})


_Key: TypeAlias = tuple[str, AccessRequest]  # an Authorization header and a request


@dataclass(frozen=True, slots=True)
class Authorized:
    """A request that may be carried out, and the token that it came with."""

    token: GrantedToken
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class NeedsCatalog:
    """A request whose decision depends on the catalog.

    `Authorizer.complete` completes it.
    """

    request: RegistryRequest
    token: GrantedToken
    access: AccessRequest
    caller: Caller
    is_final: bool


Verdict: TypeAlias = Authorized | Refusal | NeedsCatalog


class Authorizer:
    """Decides requests on the present policy, and records each decision.

    `endpoint` is the name in the records.
    """

    def __init__(self, deps: Deps, *, endpoint: str) -> None:
        self._deps = deps
        self._log = DecisionLog(deps.audit, deps.metrics, endpoint=endpoint)
        # A push sends the same request for each layer. Only grants, and none that depends on
        # the catalog.
        self._allowed: BoundedCache[_Key, Validity] = BoundedCache(
            max_entries=_CACHED_DECISIONS, max_bytes=_CACHED_BYTES, size_of=_size_of
        )

    def authorize(
        self,
        request: RegistryRequest,
        authorization: str,
        caller: Caller,
        *,
        largest_layer: int | None = None,
        is_final: bool = True,
    ) -> Verdict:
        """Whether the bearer may make this request now; otherwise the refusal.

        `is_final=False`: the request is going to be authorized once more; that it is allowed so far is not recorded.
        """
        snapshot = self._deps.snapshot()
        token = self._token(request, authorization)
        if isinstance(token, Refusal):
            self._record(request, _NO_TOKEN, snapshot, caller, allowed=False)
            return token
        if request.route is Route.BASE:
            return Authorized(token, snapshot)
        if request.route is Route.CATALOG:
            return self._authorize_listing(request, token, snapshot, caller)
        access, now = access_request(request, largest_layer), self._deps.now()
        validity = self._allowed.get((authorization, access))
        if validity is not None and self._deps.holds(validity):
            return self._allow(request, token, snapshot, caller, is_final)
        if needs_catalog(snapshot, token.identity, access, now):
            return NeedsCatalog(request, token, access, caller, is_final)
        verdict = self._decide(request, token, access, caller, is_final)
        if isinstance(verdict, Authorized):
            actor = actor_of(snapshot, token.identity, now)
            validity = validity_of(snapshot, actor, self._deps.tokens.key_generation, now)
            self._allowed.put((authorization, access), validity)
        return verdict

    async def complete(self, verdict: Verdict) -> Authorized | Refusal:
        """The final verdict, after a query to the catalog where the decision needs one."""
        if not isinstance(verdict, NeedsCatalog):
            return verdict
        access = await with_existence(self._deps.catalog, verdict.access)
        return self._decide(verdict.request, verdict.token, access, verdict.caller, verdict.is_final)

    def _decide(
        self, request: RegistryRequest, token: GrantedToken, access: AccessRequest, caller: Caller, is_final: bool
    ) -> Authorized | Refusal:
        snapshot, now = self._deps.snapshot(), self._deps.now()
        if is_allowed(snapshot, actor_of(snapshot, token.identity, now), access, now):
            return self._allow(request, token, snapshot, caller, is_final)
        decision = decide(snapshot, token.identity, access, now)
        message = _message(self._deps.host, request, decision)
        return self._refuse(request, token, snapshot, caller, decision.reason, message)

    def _allow(
        self, request: RegistryRequest, token: GrantedToken, snapshot: Snapshot, caller: Caller, is_final: bool
    ) -> Authorized | Refusal:
        if not token.grants(request.name, request.token_actions):
            # Allowed now, and was not allowed or not requested when the token was issued: a new token grants it.
            self._record(request, token, snapshot, caller, allowed=False)
            return challenge(self._deps.host, request)
        if is_final:
            self._record(request, token, snapshot, caller, allowed=True)
        return Authorized(token, snapshot)

    def record_malformed(self, caller: Caller) -> None:
        """Record a request that is not one of the registry API.

        Its content stays out of the log: it may be anything.
        """
        self._log.record(
            ANONYMOUS,
            caller,
            action="",
            repository="",
            generation=self._deps.snapshot().generation,
            allowed=False,
            reason=Reason.INVALID_REQUEST,
        )

    def refuse_empty_listing(self, request: RegistryRequest, authorized: Authorized, caller: Caller) -> Refusal:
        """Refuse an anonymous caller whose catalog listing would be empty."""
        return self._refuse_listing(request, authorized.token, authorized.snapshot, caller, Reason.NOT_AUTHENTICATED)

    def may_mount(self, request: RegistryRequest, authorized: Authorized) -> bool:
        """Whether the registry may mount the blob from the requested repository.

        Only within one project, and only from a repository that the bearer may pull now and has a grant for.
        """
        if not request.can_mount or request.mount_from is None:
            return False
        if not authorized.token.grants("/".join(request.mount_from), ("pull",)):
            return False
        snapshot, now = authorized.snapshot, self._deps.now()
        actor = actor_of(snapshot, authorized.token.identity, now)
        return is_allowed(snapshot, actor, AccessRequest(Action.PULL, *request.mount_from), now)

    def _token(self, request: RegistryRequest, authorization: str) -> GrantedToken | Refusal:
        bearer = bearer_token(authorization)
        if not bearer:
            return challenge(self._deps.host, request)
        try:
            return self._deps.tokens.verify(bearer)
        except InvalidTokenError as invalid:
            return challenge(self._deps.host, request, invalid=invalid.sentence)

    def _authorize_listing(
        self, request: RegistryRequest, token: GrantedToken, snapshot: Snapshot, caller: Caller
    ) -> Authorized | Refusal:
        """Allow the catalog listing, which holds only visible repositories.

        Without a login, only where something may be public.
        """
        reason = credential_failure(snapshot, token.identity, self._deps.now())
        if token.identity.credential is CredentialKind.NONE and not snapshot.public_allowed:
            reason = Reason.NOT_AUTHENTICATED
        if reason is None:
            self._record(request, token, snapshot, caller, allowed=True)
            return Authorized(token, snapshot)
        return self._refuse_listing(request, token, snapshot, caller, reason)

    def _refuse_listing(
        self, request: RegistryRequest, token: GrantedToken, snapshot: Snapshot, caller: Caller, reason: Reason
    ) -> Refusal:
        facts = MessageFacts(who=token.identity.name, project="the list of repositories")
        return self._refuse(request, token, snapshot, caller, reason, sentence(reason, facts))

    def _refuse(
        self,
        request: RegistryRequest,
        token: GrantedToken,
        snapshot: Snapshot,
        caller: Caller,
        reason: Reason | None,
        message: str,
    ) -> Refusal:
        self._record(request, token, snapshot, caller, allowed=False, reason=reason)
        return denied(request, message, token.requested.get(request.name, frozenset()))

    def _record(
        self,
        request: RegistryRequest,
        token: GrantedToken,
        snapshot: Snapshot,
        caller: Caller,
        *,
        allowed: bool,
        reason: Reason | None = None,
    ) -> None:
        self._log.record(
            token.identity,
            caller,
            action=request.action.value,
            repository=request.name,
            generation=snapshot.generation,
            allowed=allowed,
            reason=reason,
        )


def access_request(request: RegistryRequest, largest_layer: int | None = None) -> AccessRequest:
    """The registry request in the terms of `decide`.

    `largest_layer` is in bytes, where a manifest names one.
    """
    return AccessRequest(request.action, request.project, request.repository, largest_layer)


def _message(host: str, request: RegistryRequest, decision: Decision) -> str:
    return with_page(host, request, decision.sentence, decision.short_sentence)


def bearer_token(authorization: str) -> str:
    """The token of an `Authorization: Bearer …` header; empty for any other."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _size_of(key: _Key, _validity: Validity) -> int:
    return len(key[0]) + _OBJECT_BYTES
