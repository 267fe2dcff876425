"""PUT and DELETE of manifests: judged, announced to the catalog, done by the registry, recorded, only then answered.

The order makes every outcome safe. What the catalog does not know of does not happen; what happened and was not
reported, it finds out from the registry. A client that goes away in the middle stops none of it.
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
from berth.services.access.deps import Deps
from berth.services.access.http.messages import BodyTooLargeError, Request, Response
from berth.services.access.http.refusals import (
    Refusal,
    denied,
    invalid_manifest,
    manifest_too_large,
    registry_away,
    warning,
)
from berth.services.access.upstream.ports import CatalogUnavailableError, RegistryUnreachableError, WriteIntent

_PASSED_ON: Final = ("authorization", "content-type", "accept", "user-agent", "host", "x-forwarded-proto")


@dataclass(frozen=True, slots=True)
class _Write:
    """A write that may happen."""

    asked: RegistryRequest
    judged: Authorized
    headers: Mapping[str, str]
    caller: Caller
    body: bytes | None = None
    manifest: Manifest | None = None

    @property
    def intent(self) -> WriteIntent:
        """What the catalog is told before the registry is."""
        digest = self.asked.reference if self.asked.by_digest else None
        if self.body is not None:
            digest = "sha256:" + hashlib.sha256(self.body).hexdigest()
        return WriteIntent(
            kind="delete" if self.manifest is None else "push",
            project=self.asked.project,
            repository=self.asked.repository,
            reference=self.asked.reference,
            digest=digest,
            media_type=self.manifest.media_type if self.manifest else "",
            by=self.judged.token.identity.name,
            client=self.caller.address,
        )


class ManifestWrites:
    """Carries out writes of manifests."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._judge = Authorizer(deps, endpoint="manifest")
        self._log = structlog.get_logger("berth.access.manifests")

    async def answer(self, request: Request, asked: RegistryRequest) -> Response:
        """The answer to a PUT or DELETE of a manifest. Raises ClientGone when the body ends early."""
        write = await self._permitted(request, asked)
        if isinstance(write, Refusal):
            return write.answer
        task = asyncio.create_task(self._carry_out(write), name=f"{asked.method} {asked.name}")
        self._deps.running_writes.add(task)
        task.add_done_callback(self._deps.running_writes.discard)
        return await asyncio.shield(task)

    async def _permitted(self, request: Request, asked: RegistryRequest) -> _Write | Refusal:
        """Judged twice: before the body is read, so that nobody else is listened to, and with what it says."""
        authorization = request.headers.get("authorization", "")
        caller = await self._deps.gateway.vouched(request.headers)
        is_delete = asked.method == "DELETE"
        judged = await self._judge.judge(asked, authorization, caller, final=is_delete)
        if isinstance(judged, Refusal):
            return judged
        if is_delete:
            return _Write(asked, judged, request.headers, caller)
        try:
            body = await request.body(self._deps.manifest_size_limit)
            manifest = parse_manifest(body, request.headers.get("content-type", ""))
        except BodyTooLargeError:
            return manifest_too_large(self._deps.manifest_size_limit)
        except InvalidManifestError as invalid:
            return invalid_manifest(str(invalid))
        judged = await self._judge.judge(asked, authorization, caller, largest_layer=manifest.largest_layer)
        if isinstance(judged, Refusal):
            return judged
        return _Write(asked, judged, request.headers, caller, body, manifest)

    async def _carry_out(self, write: _Write) -> Response:
        asked = write.asked
        try:
            write_id = await self._deps.catalog.announce(write.intent)
        except CatalogUnavailableError:
            return self._unrecorded(write).answer
        headers = {name: write.headers[name] for name in _PASSED_ON if name in write.headers}
        try:
            answer = await self._deps.registries.forward(asked.project, asked.method, asked.target, headers, write.body)
        except RegistryUnreachableError as away:
            if away.untouched:
                await self._abandon(write_id)
            return registry_away(asked.project).answer
        if answer.status >= 300:
            # After a 5xx the registry may have done a part of it: the catalog looks for itself.
            if answer.status < 500:
                await self._abandon(write_id)
            return answer
        try:
            await self._deps.catalog.commit(write_id, write.body)
        except CatalogUnavailableError:
            return self._unrecorded(write).answer
        return self._answered(write, answer)

    async def _abandon(self, write_id: str) -> None:
        try:
            await self._deps.catalog.abandon(write_id)
        except CatalogUnavailableError:
            self._log.warning("a write that did not happen was left to the catalog to settle")

    def _unrecorded(self, write: _Write) -> Refusal:
        asked, token = write.asked, write.judged.token
        line = self._deps.audit.decision(
            "manifest",
            token.identity,
            action=asked.action.value,
            repository=asked.name,
            allowed=False,
            reason=Reason.CATALOG_UNAVAILABLE,
            generation=write.judged.snapshot.generation,
        )
        self._deps.audit.prepared(line, write.caller)
        self._deps.metrics.refused("manifest", Reason.CATALOG_UNAVAILABLE)
        facts = MessageFacts(
            who=token.identity.name, project=asked.project, repository=asked.repository, action=asked.action
        )
        return denied(asked, sentence(Reason.CATALOG_UNAVAILABLE, facts), ())

    def _answered(self, write: _Write, answer: Response) -> Response:
        """The registry's answer, with what it does not know.

        `OCI-Subject` tells the client that referrers are listed (OCI distribution spec, "Pushing Manifests"), a
        warning whoever pushed that their certification is about to end.
        """
        if write.manifest is None:
            return answer
        own: list[tuple[str, str]] = []
        if write.manifest.subject is not None:
            own.append(("oci-subject", write.manifest.subject.digest))
        told = certification_warning(
            self._deps.snapshot(),
            write.judged.token.identity,
            self._deps.now(),
            self._deps.certification_warning_days,
        )
        if told:
            own.append(("warning", warning(told)))
        kept = [(name, value) for name, value in answer.headers if name != "oci-subject"]
        return Response(answer.status, (*kept, *own), answer.body)
