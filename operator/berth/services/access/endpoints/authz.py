"""`/authz`, nginx's auth subrequest.

The response is the upstream to proxy to, or the error response to send.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from berth.identity.gateway_caller import Caller
from berth.identity.service_account import ServiceAccountTokenError
from berth.oci.request import InvalidReferenceError, RegistryRequest, Route, parse_request
from berth.services.access.authorize.authorizer import Authorized, Authorizer, NeedsCatalog
from berth.services.access.authorize.blob_cache import BlobCache
from berth.services.access.deps import Deps
from berth.services.access.http.messages import Request, Response, complete
from berth.services.access.http.refusals import Refusal, malformed, not_served

_METHOD: Final = "berth-original-method"
_TARGET: Final = "berth-original-uri"
_OWN_ROUTES: Final = frozenset({Route.BASE, Route.CATALOG, Route.REFERRERS})
_WRITES: Final = frozenset({"PUT", "DELETE"})


class AuthzEndpoint:
    """Decides requests for the gateway.

    The response is 200 with `Berth-Upstream`, or a refusal from which the gateway makes the client's response.
    """

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._authorizer = Authorizer(deps, endpoint="authz")
        self._blobs = BlobCache(deps, endpoint="authz")

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Respond to one subrequest of the gateway."""
        caller = self._deps.gateway.authenticate(request.headers)
        if isinstance(caller, Caller):
            return self._respond(request, caller)
        return self._authenticated(request, caller)

    async def _authenticated(self, request: Request, caller: Awaitable[Caller]) -> Response:
        try:
            authenticated = await caller
        except ServiceAccountTokenError as refused:
            return not_served(refused.sentence)
        return await complete(self._respond(request, authenticated))

    def _respond(self, request: Request, caller: Caller) -> Response | Awaitable[Response]:
        headers = request.headers
        method, target = headers.get(_METHOD, ""), headers.get(_TARGET, "")
        authorization = headers.get("authorization", "")
        upstream = self._blobs.upstream(method, target, authorization, caller)
        if upstream is not None:
            return _forward_to(upstream)
        try:
            registry_request = parse_request(method, target)
        except InvalidReferenceError as invalid:
            self._authorizer.record_malformed(caller)
            return malformed(invalid.sentence).gateway_response
        verdict = self._authorizer.authorize(registry_request, authorization, caller)
        if isinstance(verdict, NeedsCatalog):
            return self._completed(registry_request, verdict)
        if isinstance(verdict, Authorized):
            self._blobs.put(registry_request, authorization, verdict)
        return self._response(registry_request, verdict)

    async def _completed(self, registry_request: RegistryRequest, verdict: NeedsCatalog) -> Response:
        return self._response(registry_request, await self._authorizer.complete(verdict))

    def _response(self, registry_request: RegistryRequest, verdict: Authorized | Refusal) -> Response:
        if isinstance(verdict, Refusal):
            return verdict.gateway_response
        return _forward_to(self._upstream(registry_request, verdict))

    def _upstream(self, request: RegistryRequest, authorized: Authorized) -> str:
        writes = request.route is Route.MANIFEST and request.method in _WRITES
        if request.route in _OWN_ROUTES or writes or request.is_upload_cancel:
            return self._deps.upstream_self + request.target
        target = request.target
        if request.is_mount_requested and not self._authorizer.may_mount(request, authorized):
            # Without its query the registry opens an ordinary upload, and the client sends the bytes.
            target = target.partition("?")[0]
        return self._deps.registry_base(request.project) + target


def _forward_to(upstream: str) -> Response:
    return Response(200, (("berth-upstream", upstream),))
