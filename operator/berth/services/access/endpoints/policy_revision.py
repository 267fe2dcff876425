"""`GET /policy-revision`: the resource versions that this replica's policy holds.

The operator compares them with its own before it writes a status.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from berth.api.names import AUDIENCE_ACCESS
from berth.identity.service_account import ServiceAccountTokenError
from berth.services.access.deps import PolicyRevisions
from berth.services.access.http.messages import Request, Response, json_answer
from berth.services.access.http.refusals import method_not_allowed, not_served

PATIENCE: Final = 2.0  # seconds
_BEARER: Final = "bearer "


class PolicyRevisionEndpoint:
    """Answers Berth's own processes."""

    def __init__(self, policy: PolicyRevisions) -> None:
        self._policy = policy

    async def answer(self, request: Request) -> Response:
        """Respond with `{"resourceVersions": {plural: version}}`, once the policy holds the requested versions."""
        if request.method != "GET":
            return method_not_allowed("GET")
        try:
            await self._admit(request.headers.get("authorization", ""))
        except ServiceAccountTokenError as refused:
            return not_served(refused.sentence)
        try:
            wanted = {plural: int(version) for plural, version in parse_qsl(request.query, strict_parsing=True)}
        except ValueError:
            return json_answer(400, {"error": "The query is not a list of kinds with the resource version of each."})
        return json_answer(200, {"resourceVersions": dict(await self._policy.wait_for(wanted, PATIENCE))})

    async def _admit(self, authorization: str) -> None:
        token = authorization[len(_BEARER) :] if authorization.lower().startswith(_BEARER) else ""
        account = await self._policy.verifier.verify(token.strip(), AUDIENCE_ACCESS)
        if account not in self._policy.accounts:
            raise ServiceAccountTokenError(f"The ServiceAccount {account} is none of Berth's that may ask this.")
