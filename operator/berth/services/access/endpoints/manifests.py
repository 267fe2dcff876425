"""PUT and DELETE of manifests: authorize, announce, forward, commit, respond.

Announcement and commit go to the catalog, the request itself to the registry. The order makes every outcome safe. No
write happens that was not announced, and the catalog finds the result of one that was not committed at the registry. A
client that disconnects in between stops none of it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from berth.api.reasons import Reason
from berth.authz.explain import certification_warning
from berth.authz.messages import MessageFacts, sentence
from berth.identity.gateway_caller import Caller
from berth.oci.manifest import InvalidManifestError, Manifest, parse_manifest
from berth.oci.request import RegistryRequest
from berth.services.access.authorize.authorizer import Authorized, Authorizer
from berth.services.access.decision_log import DecisionLog
from berth.services.access.deps import Deps
from berth.services.access.http.messages import BodyTooLargeError, Request, Response
from berth.services.access.http.refusals import (
    Refusal,
    denied,
    invalid_manifest,
    manifest_too_large,
    registry_unreachable,
    warning,
)
from berth.services.access.upstream.ports import CatalogUnavailableError, RegistryUnreachableError, WriteIntent

_FORWARDED: Final = ("authorization", "content-type", "accept", "user-agent", "host", "x-forwarded-proto")


@dataclass(frozen=True, slots=True)
class _Write:
    """A write that is allowed."""

    request: RegistryRequest
    authorized: Authorized
    headers: Mapping[str, str]
    caller: Caller
    body: bytes | None = None
    manifest: Manifest | None = None

    @property
    def intent(self) -> WriteIntent:
        """The announcement to the catalog."""
        digest = self.request.reference if self.request.by_digest else None
        if self.body is not None:
            digest = "sha256:" + hashlib.sha256(self.body).hexdigest()
        return WriteIntent(
            kind="delete" if self.manifest is None else "push",
            project=self.request.project,
            repository=self.request.repository,
            reference=self.request.reference,
            digest=digest,
            media_type=self.manifest.media_type if self.manifest else "",
            by=self.authorized.token.identity.name,
            client=self.caller.address,
        )


class ManifestWrites:
    """Forwards writes of manifests to the projects' registries."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._authorizer = Authorizer(deps, endpoint="manifest")
        self._decisions = DecisionLog(deps.audit, deps.metrics, endpoint="manifest")
        self._log = structlog.get_logger("berth.access.manifests")

    async def handle(self, request: Request, registry_request: RegistryRequest) -> Response:
        """Respond to a PUT or DELETE of a manifest.

        Raises ClientDisconnectedError when the body ends early.
        """
        write = await self._authorize(request, registry_request)
        if isinstance(write, Refusal):
            return write.response
        task = asyncio.create_task(self._forward(write), name=f"{registry_request.method} {registry_request.name}")
        self._deps.running_writes.add(task)
        task.add_done_callback(self._deps.running_writes.discard)
        return await asyncio.shield(task)

    async def _authorize(self, request: Request, registry_request: RegistryRequest) -> _Write | Refusal:
        """Authorize before the body is read, and again with its largest layer.

        So no body is read of a client that may not push.
        """
        authorization = request.headers.get("authorization", "")
        caller = await self._deps.gateway.identified(request.headers)
        is_delete = registry_request.method == "DELETE"
        verdict = self._authorizer.authorize(registry_request, authorization, caller, is_final=is_delete)
        authorized = await self._authorizer.complete(verdict)
        if isinstance(authorized, Refusal):
            return authorized
        if is_delete:
            return _Write(registry_request, authorized, request.headers, caller)
        try:
            body = await request.body(self._deps.manifest_size_limit)
            manifest = parse_manifest(body, request.headers.get("content-type", ""))
        except BodyTooLargeError:
            return manifest_too_large(self._deps.manifest_size_limit)
        except InvalidManifestError as invalid:
            return invalid_manifest(str(invalid))
        largest = manifest.largest_layer
        verdict = self._authorizer.authorize(registry_request, authorization, caller, largest_layer=largest)
        authorized = await self._authorizer.complete(verdict)
        if isinstance(authorized, Refusal):
            return authorized
        return _Write(registry_request, authorized, request.headers, caller, body, manifest)

    async def _forward(self, write: _Write) -> Response:
        request = write.request
        try:
            write_id = await self._deps.catalog.announce(write.intent)
        except CatalogUnavailableError:
            return self._refuse_unrecorded(write).response
        headers = {name: write.headers[name] for name in _FORWARDED if name in write.headers}
        try:
            response = await self._deps.registries.forward(
                request.project, request.method, request.target, headers, write.body
            )
        except RegistryUnreachableError as unreachable:
            if unreachable.untouched:
                await self._abandon(write_id)
            return registry_unreachable(request.project).response
        if response.status >= 300:
            # After a 5xx the registry may have done a part of it: the catalog reads the registry then.
            if response.status < 500:
                await self._abandon(write_id)
            return response
        try:
            await self._deps.catalog.commit(write_id, write.body)
        except CatalogUnavailableError:
            return self._refuse_unrecorded(write).response
        return self._with_headers(write, response)

    async def _abandon(self, write_id: str) -> None:
        try:
            await self._deps.catalog.abandon(write_id)
        except CatalogUnavailableError:
            self._log.warning("a failed write was left to the catalog to settle", write_id=write_id)

    def _refuse_unrecorded(self, write: _Write) -> Refusal:
        request, identity = write.request, write.authorized.token.identity
        self._decisions.record(
            identity,
            write.caller,
            action=request.action.value,
            repository=request.name,
            generation=write.authorized.snapshot.generation,
            allowed=False,
            reason=Reason.CATALOG_UNAVAILABLE,
        )
        facts = MessageFacts(
            who=identity.name, project=request.project, repository=request.repository, action=request.action
        )
        return denied(request, sentence(Reason.CATALOG_UNAVAILABLE, facts), ())

    def _with_headers(self, write: _Write, response: Response) -> Response:
        """The registry's response with the headers that only this service can add.

        `OCI-Subject` says that referrers are listed (OCI distribution spec, "Pushing Manifests"), and a warning that
        the certification of the caller is about to end.
        """
        if write.manifest is None:
            return response
        own: list[tuple[str, str]] = []
        if write.manifest.subject is not None:
            own.append(("oci-subject", write.manifest.subject.digest))
        ending = certification_warning(
            self._deps.snapshot(),
            write.authorized.token.identity,
            self._deps.now(),
            self._deps.certification_warning_days,
        )
        if ending:
            own.append(("warning", warning(ending)))
        kept = [(name, value) for name, value in response.headers if name != "oci-subject"]
        return Response(response.status, (*kept, *own), response.body)
