"""`GET /policy-revision`: the resource versions that this replica's policy holds.

The operator compares them with its own before it writes a status.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final
from urllib.parse import parse_qsl

from berth.api.names import AUDIENCE_ACCESS
from berth.identity.service_account import ServiceAccountTokenError
from berth.services.access.deps import PolicyRevisions
from berth.services.access.http.messages import Request, Response, json_response
from berth.services.access.http.refusals import method_not_allowed, not_served

PATIENCE_SECONDS: Final = 2.0
_BEARER: Final = "bearer "


class PolicyRevisionEndpoint:
    """Serves Berth's own processes."""

    def __init__(self, policy: PolicyRevisions) -> None:
        self._policy = policy

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Respond with the resource versions of the policy.

        `{"resourceVersions": {plural: version}}`, once it holds the requested versions.
        """
        return self._respond(request) if request.method == "GET" else method_not_allowed("GET")

    async def _respond(self, request: Request) -> Response:
        try:
            await self._authenticate(request.headers.get("authorization", ""))
        except ServiceAccountTokenError as refused:
            return not_served(refused.sentence)
        try:
            wanted = {plural: int(version) for plural, version in parse_qsl(request.query, strict_parsing=True)}
        except ValueError:
            return json_response(400, {"error": "The query is not a list of kinds with the resource version of each."})
        return json_response(200, {"resourceVersions": dict(await self._policy.wait_for(wanted, PATIENCE_SECONDS))})

    async def _authenticate(self, authorization: str) -> None:
        token = authorization[len(_BEARER) :] if authorization.lower().startswith(_BEARER) else ""
        account = await self._policy.verifier.verify(token.strip(), AUDIENCE_ACCESS)
        if account not in self._policy.accounts:
            raise ServiceAccountTokenError(
                f"The ServiceAccount {account} may not call this; only Berth's own processes may."
            )
