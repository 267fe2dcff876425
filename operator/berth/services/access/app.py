"""The ASGI application: routing, errors and metrics of every request."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

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
    PENDING_RESPONSE,
    ClientDisconnectedError,
    Deferred,
    Handled,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    complete,
    json_response,
    read_request,
    send_response,
)
from berth.services.access.http.refusals import internal_error, malformed, method_not_allowed, not_found

_ENDPOINTS: Final = {
    "/authz": "authz",
    "/token": "token",
    PATH_POLICY_REVISION: "policy_revision",
    "/why": "why",
    "/healthz": "healthz",
    "/readyz": "readyz",
}


def create_app(deps: Deps) -> Application:
    """The application made of these parts. It holds no state beyond them."""
    return Application(deps)


class Application:
    """Handles requests, with or without an ASGI cycle around it."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._writes = ManifestWrites(deps)
        self._uploads = UploadCancels(deps)
        self._listings = Listings(deps)
        self._token = TokenEndpoint(deps)
        self._handlers: dict[str, Callable[[Request], Handled]] = {
            "authz": AuthzEndpoint(deps).handle,
            "token": self._token.handle,
            "registry": self._handle_registry,
            "policy_revision": PolicyRevisionEndpoint(deps.policy).handle,
            "why": WhyPage(deps).handle,
            "healthz": partial(_probe, self._healthz),
            "readyz": partial(_probe, self._readyz),
            "other": lambda _request: not_found(),
        }
        self._log = structlog.get_logger("berth.access.app")

    def handle(self, request: Request) -> Handled:
        """Respond to one request; awaitable only where something has to be waited for.

        The awaitable raises ClientDisconnectedError when there is no client left to respond to.
        """
        started = time.perf_counter()
        endpoint = _endpoint(request.path)
        try:
            handled = self._handlers[endpoint](request)
        except Exception:
            handled = self._failed(endpoint, request)
        if isinstance(handled, Response):
            self._deps.metrics.observe_request(endpoint, handled.status, time.perf_counter() - started)
            return handled
        if callable(handled):
            return partial(self._finish, handled, endpoint, request, started)
        return self._wait(handled, endpoint, request, started)

    def _finish(self, deferred: Deferred, endpoint: str, request: Request, started: float) -> Response:
        try:
            response = deferred()
        except Exception:
            response = self._failed(endpoint, request)
        self._deps.metrics.observe_request(endpoint, response.status, time.perf_counter() - started)
        return response

    async def _wait(self, pending: Awaitable[Response], endpoint: str, request: Request, started: float) -> Response:
        try:
            response = await pending
        except ClientDisconnectedError:
            raise
        except Exception:
            response = self._failed(endpoint, request)
        self._deps.metrics.observe_request(endpoint, response.status, time.perf_counter() - started)
        return response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to the request of an ASGI cycle.

        The fast path may have handled it as far as possible without a cycle.
        """
        if scope["type"] != "http":
            raise RuntimeError(f"the access service speaks HTTP alone, not {scope['type']}")
        handled: Handled | None = scope.get(PENDING_RESPONSE)
        if handled is None:
            handled = self.handle(read_request(scope, receive))
        try:
            response = await complete(handled)
        except ClientDisconnectedError:
            return
        await send_response(send, response, head=scope["method"] == "HEAD")

    def _failed(self, endpoint: str, request: Request) -> Response:
        # The target stays out of the log: a client may have put anything into it.
        self._log.exception("unexpected error while handling a request", endpoint=endpoint, method=request.method)
        return internal_error()

    def _handle_registry(self, request: Request) -> Handled:
        try:
            registry_request = parse_request(request.method, request.target)
        except InvalidReferenceError as invalid:
            return malformed(invalid.sentence).response
        if registry_request.route is Route.MANIFEST and registry_request.method in ("PUT", "DELETE"):
            return self._writes.handle(request, registry_request)
        if registry_request.is_upload_cancel:
            return self._uploads.handle(request, registry_request)
        if registry_request.route in (Route.BASE, Route.CATALOG, Route.REFERRERS):
            return self._listings.handle(request, registry_request)
        return not_found()

    def _healthz(self) -> Response:
        return json_response(200, {"healthy": True})

    def _readyz(self) -> Response:
        parts = dict(self._deps.ready())
        self._deps.metrics.set_policy_generation(self._deps.snapshot().generation)
        return json_response(200 if all(parts.values()) else 503, parts)


def _probe(respond: Callable[[], Response], request: Request) -> Response:
    return respond() if request.method in ("GET", "HEAD") else method_not_allowed("GET, HEAD")


def _endpoint(path: str) -> str:
    """The name of the endpoint, as in metrics."""
    endpoint = _ENDPOINTS.get(path)
    if endpoint is None:
        endpoint = "registry" if path == "/v2" or path.startswith("/v2/") else "other"
    return endpoint
