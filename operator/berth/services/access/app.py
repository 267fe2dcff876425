"""The ASGI application of the access service: routing, and what holds for every answer."""

from __future__ import annotations

import time
from functools import partial

import structlog

from berth.api.names import PATH_POLICY_REVISION
from berth.oci.request import InvalidReferenceError, Route, parse_request
from berth.services.access.deps import Deps
from berth.services.access.endpoints.authz import AuthzEndpoint
from berth.services.access.endpoints.listings import Listings
from berth.services.access.endpoints.manifests import ManifestWrites
from berth.services.access.endpoints.policy_revision import PolicyRevisionEndpoint
from berth.services.access.endpoints.token import TokenEndpoint
from berth.services.access.endpoints.uploads import UploadCancels
from berth.services.access.endpoints.why import WhyPage
from berth.services.access.http.messages import (
    ClientDisconnectedError,
    Deferred,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    json_answer,
    read_request,
    send_answer,
)
from berth.services.access.http.refusals import internal_error, malformed, method_not_allowed, not_found

_PROBES = frozenset({"/healthz", "/readyz"})


def create_app(deps: Deps) -> Application:
    """The application made of these parts. It holds no state beyond them."""
    return Application(deps)


class Application:
    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._authz = AuthzEndpoint(deps)
        self._token = TokenEndpoint(deps)
        self._writes = ManifestWrites(deps)
        self._uploads = UploadCancels(deps)
        self._listings = Listings(deps)
        self._why = WhyPage(deps)
        self._seen = PolicyRevisionEndpoint(deps.policy)
        self._log = structlog.get_logger("berth.access.app")

    def at_once(self, request: Request) -> Response | Deferred | None:
        """The answer to a request that has to wait for nothing, and whose body means nothing; None for any other."""
        started = time.perf_counter()
        endpoint = _endpoint(request.path)
        answer: Response | Deferred | None
        try:
            if endpoint == "authz":
                answer = self._authz.at_once(request)
            elif endpoint == "token":
                answer = self._token.at_once(request)
            else:
                return None
        except Exception:
            answer = self._failed(endpoint, request)
        if answer is None:
            return None
        if not isinstance(answer, Response):
            return partial(self._finished, answer, endpoint, request, started)
        self._deps.metrics.answered(endpoint, answer.status, time.perf_counter() - started)
        return answer

    def _finished(self, unfinished: Deferred, endpoint: str, request: Request, started: float) -> Response:
        try:
            answer = unfinished()
        except Exception:
            answer = self._failed(endpoint, request)
        self._deps.metrics.answered(endpoint, answer.status, time.perf_counter() - started)
        return answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the access service speaks HTTP alone, not {scope['type']}")
        started = time.perf_counter()
        request = read_request(scope, receive)
        known = self.at_once(request)
        if known is not None:
            answer = known if isinstance(known, Response) else known()
            await send_answer(send, answer, head=request.method == "HEAD")
            return
        endpoint = _endpoint(request.path)
        try:
            answer = await self._answer(endpoint, request)
        except ClientDisconnectedError:
            return
        except Exception:
            answer = self._failed(endpoint, request)
        await send_answer(send, answer, head=request.method == "HEAD")
        self._deps.metrics.answered(endpoint, answer.status, time.perf_counter() - started)

    def _failed(self, endpoint: str, request: Request) -> Response:
        # The target stays out of the log: a client may have put anything into it.
        self._log.exception("request failed", endpoint=endpoint, method=request.method)
        return internal_error()

    async def _answer(self, endpoint: str, request: Request) -> Response:
        if endpoint == "authz":
            return await self._authz.answer(request)
        if endpoint == "token":
            return await self._token.answer(request)
        if endpoint == "registry":
            return await self._registry(request)
        if endpoint == "policy_revision":
            return await self._seen.answer(request)
        if endpoint == "why":
            return await self._why.answer(request)
        if endpoint in ("healthz", "readyz"):
            return self._probe(endpoint, request.method)
        return not_found()

    async def _registry(self, request: Request) -> Response:
        try:
            asked = parse_request(request.method, request.target)
        except InvalidReferenceError as invalid:
            return malformed(invalid.sentence).answer
        if asked.route is Route.MANIFEST and asked.method in ("PUT", "DELETE"):
            return await self._writes.answer(request, asked)
        if asked.is_upload_cancel:
            return await self._uploads.answer(request, asked)
        if asked.route in (Route.BASE, Route.CATALOG, Route.REFERRERS):
            return await self._listings.answer(request, asked)
        return not_found()

    def _probe(self, endpoint: str, method: str) -> Response:
        if method not in ("GET", "HEAD"):
            return method_not_allowed("GET, HEAD")
        if endpoint == "healthz":
            return json_answer(200, {"healthy": True})
        parts = dict(self._deps.ready())
        self._deps.metrics.policy(self._deps.snapshot().generation)
        return json_answer(200 if all(parts.values()) else 503, parts)


def _endpoint(path: str) -> str:
    if path == "/authz":
        return "authz"
    if path == "/token":
        return "token"
    if path == PATH_POLICY_REVISION:
        return "policy_revision"
    if path == "/why":
        return "why"
    if path == "/v2" or path.startswith("/v2/"):
        return "registry"
    return path[1:] if path in _PROBES else "other"
