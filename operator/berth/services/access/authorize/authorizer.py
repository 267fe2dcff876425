"""One judgement of a request to the registry API, for the gateway and for what this service serves itself."""

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
from berth.services.access.authorize.existence import is_unknown, with_content
from berth.services.access.deps import Deps
from berth.services.access.http.refusals import Refusal, challenge, denied, with_page
from berth.services.access.tokens.claims import GrantedToken
from berth.services.access.tokens.grant_cache import holds_until
from berth.services.access.tokens.registry_tokens import InvalidTokenError

_CACHED_DECISIONS: Final = 2_000
_CACHED_BYTES: Final = 16 * 1024 * 1024
_OBJECT_BYTES: Final = 1024  # of an entry besides its Authorization header
_Question: TypeAlias = tuple[str, AccessRequest]  # an Authorization header, and what its bearer wants
_NO_TOKEN: Final = GrantedToken(identity=ANONYMOUS, asked={}, granted={})


@dataclass(frozen=True, slots=True)
class Authorized:
    """A request that may be carried out, and the token that it came with."""

    token: GrantedToken
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class NeedsCatalog:
    """A request that can not be judged before the catalog was asked about its repository."""

    token: GrantedToken
    wish: AccessRequest


class Authorizer:
    """Judges requests on the present policy and writes each judgement to the audit log.

    `endpoint` is the name of the caller there; `caller` where the request comes from.
    """

    def __init__(self, deps: Deps, *, endpoint: str) -> None:
        self._deps = deps
        self._endpoint = endpoint
        self._allowed: BoundedCache[_Question, tuple[int, float]] = BoundedCache(
            max_entries=_CACHED_DECISIONS, max_bytes=_CACHED_BYTES, size_of=_size_of_question
        )

    async def judge(
        self,
        request: RegistryRequest,
        authorization: str,
        caller: Caller,
        *,
        largest_layer: int | None = None,
        final: bool = True,
    ) -> Authorized | Refusal:
        """Whether the bearer of this token may make this request now; otherwise what to answer.

        With `final=False` more of the request is still to be judged: that it may go on is not written to the log.
        """
        verdict = self.at_once(request, authorization, caller, largest_layer=largest_layer, final=final)
        if not isinstance(verdict, NeedsCatalog):
            return verdict
        wish = await with_content(self._deps.catalog, verdict.wish)
        return self._decided(request, verdict.token, wish, caller, final)

    def at_once(
        self,
        request: RegistryRequest,
        authorization: str,
        caller: Caller,
        *,
        largest_layer: int | None = None,
        final: bool = True,
    ) -> Authorized | Refusal | NeedsCatalog:
        """The judgement, unless it hangs on what only the catalog knows; then nothing is written to the log yet."""
        snapshot = self._deps.snapshot()
        token = self._token(request, authorization)
        if isinstance(token, Refusal):
            self._note(request, _NO_TOKEN, snapshot, caller, allowed=False, reason="Challenge")
            self._deps.metrics.refused(self._endpoint, None)
            return token
        if request.route is Route.BASE:
            return Authorized(token, snapshot)
        if request.route is Route.CATALOG:
            return self._catalog(request, token, snapshot, caller)
        wish = access_request(request, largest_layer)
        remembered = self._remembers((authorization, wish), snapshot)
        if not remembered and is_unknown(snapshot, token.identity, wish, self._deps.now()):
            return NeedsCatalog(token, wish)
        verdict = self._decided(request, token, wish, caller, final, remembered=remembered)
        if not remembered and isinstance(verdict, Authorized):
            self._remember((authorization, wish), token, verdict.snapshot)
        return verdict

    def _decided(
        self,
        request: RegistryRequest,
        token: GrantedToken,
        wish: AccessRequest,
        caller: Caller,
        final: bool,
        *,
        remembered: bool = False,
    ) -> Authorized | Refusal:
        snapshot, now = self._deps.snapshot(), self._deps.now()
        if not remembered and not is_allowed(snapshot, actor_of(snapshot, token.identity, now), wish, now):
            decision = decide(snapshot, token.identity, wish, now)
            return self._refused(
                request, token, snapshot, caller, decision.reason, _told(self._deps.host, request, decision)
            )
        if not token.grants(request.name, request.token_actions):
            # Allowed now, and was not (or was not asked for) when the token was made: a new one will do.
            self._note(request, token, snapshot, caller, allowed=False, reason="Challenge")
            self._deps.metrics.refused(self._endpoint, None)
            return challenge(self._deps.host, request)
        if final:
            self._note(request, token, snapshot, caller, allowed=True, reason=None)
        return Authorized(token, snapshot)

    def not_understood(self, caller: Caller) -> None:
        """Note a request that names nothing. What it said stays out of the log: it may be anything."""
        self._deps.metrics.refused(self._endpoint, Reason.INVALID_REQUEST)
        line = self._deps.audit.decision(
            self._endpoint,
            ANONYMOUS,
            action="",
            repository="",
            allowed=False,
            reason=Reason.INVALID_REQUEST,
            generation=self._deps.snapshot().generation,
        )
        self._deps.audit.prepared(line, caller)

    def nothing_public(self, request: RegistryRequest, judged: Authorized, caller: Caller) -> Refusal:
        """The refusal of a list to somebody without a login for whom nothing would stand in it."""
        return self._no_list(request, judged.token, judged.snapshot, caller, Reason.NOT_AUTHENTICATED)

    def may_mount(self, request: RegistryRequest, judged: Authorized) -> bool:
        """Whether the registry may take the blob from where the client says it is.

        Only within one project, and only from what the bearer may pull now and holds a grant for.
        """
        if not request.can_mount or request.mount_from is None:
            return False
        if not judged.token.grants("/".join(request.mount_from), ("pull",)):
            return False
        now = self._deps.now()
        actor = actor_of(judged.snapshot, judged.token.identity, now)
        return is_allowed(judged.snapshot, actor, AccessRequest(Action.PULL, *request.mount_from), now)

    def _remembers(self, key: _Question, snapshot: Snapshot) -> bool:
        """Whether this was allowed before, and neither the policy nor time has changed anything since.

        A client asks the same for each layer it pushes. Worked out each time: refusals, which have more to say, and
        what hangs on the catalog.
        """
        generation, until = self._allowed.get(key) or (-1, 0.0)
        return generation == snapshot.generation and self._deps.now().timestamp() < until

    def _remember(self, key: _Question, token: GrantedToken, snapshot: Snapshot) -> None:
        now = self._deps.now()
        end = holds_until(snapshot, actor_of(snapshot, token.identity, now), now)
        self._allowed.put(key, (snapshot.generation, end))

    def _token(self, request: RegistryRequest, authorization: str) -> GrantedToken | Refusal:
        bearer = bearer_token(authorization)
        if not bearer:
            return challenge(self._deps.host, request)
        try:
            return self._deps.tokens.verify(bearer)
        except InvalidTokenError as refused:
            return challenge(self._deps.host, request, invalid=refused.sentence)

    def _catalog(
        self, request: RegistryRequest, token: GrantedToken, snapshot: Snapshot, caller: Caller
    ) -> Authorized | Refusal:
        """The list itself holds only what the bearer may View; without a login, where something may be public."""
        reason = credential_failure(snapshot, token.identity, self._deps.now())
        if token.identity.credential is CredentialKind.NONE and not snapshot.public_allowed:
            reason = Reason.NOT_AUTHENTICATED
        if reason is None:
            self._note(request, token, snapshot, caller, allowed=True, reason=None)
            return Authorized(token, snapshot)
        return self._no_list(request, token, snapshot, caller, reason)

    def _no_list(
        self, request: RegistryRequest, token: GrantedToken, snapshot: Snapshot, caller: Caller, reason: Reason
    ) -> Refusal:
        facts = MessageFacts(who=token.identity.name, project="the list of repositories")
        return self._refused(request, token, snapshot, caller, reason, sentence(reason, facts))

    def _refused(
        self,
        request: RegistryRequest,
        token: GrantedToken,
        snapshot: Snapshot,
        caller: Caller,
        reason: Reason | None,
        text: str,
    ) -> Refusal:
        self._note(request, token, snapshot, caller, allowed=False, reason=reason)
        self._deps.metrics.refused(self._endpoint, reason)
        return denied(request, text, token.asked.get(request.name, frozenset()))

    def _note(
        self,
        request: RegistryRequest,
        token: GrantedToken,
        snapshot: Snapshot,
        caller: Caller,
        *,
        allowed: bool,
        reason: Reason | str | None,
    ) -> None:
        line = self._deps.audit.decision(
            self._endpoint,
            token.identity,
            action=request.action.value,
            repository=request.name,
            allowed=allowed,
            reason=reason,
            generation=snapshot.generation,
        )
        self._deps.audit.prepared(line, caller)


def access_request(request: RegistryRequest, largest_layer: int | None = None) -> AccessRequest:
    """The registry request as `decide` takes it; `largest_layer` in bytes, where a manifest names one."""
    return AccessRequest(request.action, request.project, request.repository, largest_layer)


def _told(host: str, request: RegistryRequest, decision: Decision) -> str:
    return with_page(host, request, decision.sentence, decision.short_sentence)


def bearer_token(authorization: str) -> str:
    """The token of an `Authorization: Bearer …` header; empty for any other."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _size_of_question(question: _Question, _value: tuple[int, float]) -> int:
    return len(question[0]) + _OBJECT_BYTES
