"""DELETE of an upload session: whoever may push may also cancel an upload.

Clients cancel the session that the registry opened instead of a mount, and Distribution wants `delete` of a token for
that (`registry/handlers/app.go`, `appendAccessRecords`), which nobody who only pushes has. So this service judges the
request as part of a push and cancels the session with a token of its own, which never leaves Berth.
"""

from __future__ import annotations

from typing import Final

from berth.oci.request import RegistryRequest
from berth.services.access.authorize.authorizer import Authorizer
from berth.services.access.deps import Deps
from berth.services.access.http.messages import Request, Response
from berth.services.access.http.refusals import Refusal, registry_away
from berth.services.access.tokens.claims import claims_of
from berth.services.access.upstream.ports import RegistryUnreachableError

_PASSED_ON: Final = ("accept", "user-agent", "host", "x-forwarded-proto")


class UploadCancels:
    """Cancels uploads at the projects' registries."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._judge = Authorizer(deps, endpoint="upload")

    async def answer(self, request: Request, asked: RegistryRequest) -> Response:
        """The answer to a DELETE of an upload session: the registry's own (204, or 404 for an unknown one)."""
        caller = await self._deps.gateway.vouched(request.headers)
        judged = await self._judge.judge(asked, request.headers.get("authorization", ""), caller)
        if isinstance(judged, Refusal):
            return judged.answer
        grant = {"type": "repository", "name": asked.name, "actions": ["delete"]}
        token, _ = self._deps.tokens.sign(claims_of(judged.token.identity, {}, [grant], [asked.project]))
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        headers["authorization"] = f"Bearer {token}"
        try:
            return await self._deps.registries.forward(asked.project, asked.method, asked.target, headers, None)
        except RegistryUnreachableError:
            return registry_away(asked.project).answer
