"""`/authz`: the gateway asks before every request, and is told where to forward it or what to answer."""

from __future__ import annotations

from typing import Final

from berth.identity.gateway_caller import Caller
from berth.identity.service_account import ServiceAccountTokenError
from berth.oci.request import InvalidReferenceError, RegistryRequest, Route, parse_request
from berth.services.access.authorize.authorizer import Authorized, Authorizer, NeedsCatalog
from berth.services.access.authorize.blob_cache import BlobCache
from berth.services.access.deps import Deps
from berth.services.access.http.messages import Request, Response
from berth.services.access.http.refusals import Refusal, malformed, not_served

_METHOD: Final = "berth-original-method"
_TARGET: Final = "berth-original-uri"
_OWN_ROUTES: Final = frozenset({Route.BASE, Route.CATALOG, Route.REFERRERS})
_WRITES: Final = frozenset({"PUT", "DELETE"})


class AuthzEndpoint:
    """Answers 200 with `Berth-Upstream`, or a refusal in the form that the gateway hands on."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._judge = Authorizer(deps, endpoint="authz")
        self._passes = BlobCache(deps, endpoint="authz")

    def at_once(self, request: Request) -> Response | None:
        """The answer to a question of a gateway that is known already; None for any other."""
        caller = self._deps.gateway.recognized(request.headers)
        if caller is None:
            return None
        method, target, authorization = _question(request)
        upstream = self._passes.upstream(method, target, authorization, caller)
        if upstream is not None:
            return _forward_to(upstream)
        asked = self._read(method, target, caller)
        if isinstance(asked, Response):
            return asked
        verdict = self._judge.at_once(asked, authorization, caller)
        if isinstance(verdict, Authorized):
            self._passes.keep(asked, authorization, verdict)
        return None if isinstance(verdict, NeedsCatalog) else self._answered(asked, verdict)

    async def answer(self, request: Request) -> Response:
        """The answer to one question of the gateway."""
        try:
            caller = await self._deps.gateway.admit(request.headers)
        except ServiceAccountTokenError as refused:
            return not_served(refused.sentence)
        method, target, authorization = _question(request)
        asked = self._read(method, target, caller)
        if isinstance(asked, Response):
            return asked
        return self._answered(asked, await self._judge.judge(asked, authorization, caller))

    def _read(self, method: str, target: str, caller: Caller) -> RegistryRequest | Response:
        """What the client asks for, or what to answer when that means nothing."""
        try:
            return parse_request(method, target)
        except InvalidReferenceError as invalid:
            self._judge.not_understood(caller)
            return malformed(invalid.sentence).gateway_answer

    def _answered(self, asked: RegistryRequest, verdict: Authorized | Refusal) -> Response:
        if not isinstance(verdict, Authorized):
            return verdict.gateway_answer
        return _forward_to(self._upstream(asked, verdict))

    def _upstream(self, asked: RegistryRequest, judged: Authorized) -> str:
        writes = asked.route is Route.MANIFEST and asked.method in _WRITES
        if asked.route in _OWN_ROUTES or writes or asked.is_upload_cancel:
            return self._deps.upstream_self + asked.target
        target = asked.target
        if asked.is_mount_requested and not self._judge.may_mount(asked, judged):
            # Without its query the registry opens an ordinary upload, and the client sends the bytes.
            target = target.partition("?")[0]
        return self._deps.registry_base(asked.project) + target


def _question(request: Request) -> tuple[str, str, str]:
    """Method, target and credential of the client's request."""
    headers = request.headers
    return headers.get(_METHOD, ""), headers.get(_TARGET, ""), headers.get("authorization", "")


def _forward_to(upstream: str) -> Response:
    return Response(200, (("berth-upstream", upstream),))
