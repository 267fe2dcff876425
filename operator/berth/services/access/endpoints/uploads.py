"""DELETE of an upload session: a client that may push may also cancel.

Clients cancel the session that the registry opened instead of a mount. Distribution wants `delete` in a token for that
(`registry/handlers/app.go`, `appendAccessRecords`), which a token for a push does not grant. So this service
authorizes the request as a push and cancels the session with a token of its own, which never leaves Berth.
"""

from __future__ import annotations

from typing import Final

from berth.oci.request import RegistryRequest
from berth.services.access.authorize.authorizer import Authorizer
from berth.services.access.deps import Deps
from berth.services.access.http.messages import Request, Response
from berth.services.access.http.refusals import Refusal, registry_unreachable
from berth.services.access.tokens.claims import claims_of
from berth.services.access.upstream.ports import RegistryUnreachableError

_FORWARDED: Final = ("accept", "user-agent", "host", "x-forwarded-proto")


class UploadCancels:
    """Cancels uploads at the projects' registries."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._authorizer = Authorizer(deps, endpoint="upload")

    async def handle(self, request: Request, registry_request: RegistryRequest) -> Response:
        """Respond to a DELETE of an upload session as the registry does.

        204, or 404 for an unknown session.
        """
        caller = await self._deps.gateway.identified(request.headers)
        verdict = self._authorizer.authorize(registry_request, request.headers.get("authorization", ""), caller)
        authorized = await self._authorizer.complete(verdict)
        if isinstance(authorized, Refusal):
            return authorized.response
        project, method, target = registry_request.project, registry_request.method, registry_request.target
        grant = {"type": "repository", "name": registry_request.name, "actions": ["delete"]}
        token, _ = self._deps.tokens.sign(claims_of(authorized.token.identity, {}, [grant], [project]))
        headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
        headers["authorization"] = f"Bearer {token}"
        try:
            return await self._deps.registries.forward(project, method, target, headers, None)
        except RegistryUnreachableError:
            return registry_unreachable(project).response
