"""Reads that this service serves: `/v2/`, `_catalog`, referrers.

`_catalog` lists the repositories of all projects. Sources: OCI distribution specification 1.1 ("Listing Referrers"),
Distribution "HTTP API V2" (`_catalog`, pagination).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, quote

from berth.api.reasons import Reason
from berth.authz.decide import visible_repositories
from berth.authz.messages import MessageFacts, sentence
from berth.authz.model import CredentialKind, Identity
from berth.identity.gateway_caller import Caller
from berth.oci.manifest import OCI_INDEX
from berth.oci.request import RegistryRequest, Route
from berth.runtime.bounded_cache import BoundedCache
from berth.services.access.authorize.authorizer import Authorized, Authorizer, NeedsCatalog, Verdict
from berth.services.access.deps import Deps
from berth.services.access.http.messages import Request, Response, complete, json_response
from berth.services.access.http.refusals import Refusal, denied
from berth.services.access.upstream.ports import CatalogUnavailableError

_PAGE: Final = 100
_LARGEST_PAGE: Final = 1000
_CACHED_LISTINGS: Final = 64
_CACHED_BYTES: Final = 32 * 1024 * 1024
_NAME_OVERHEAD: Final = 64  # bytes of a name in a tuple besides its characters


class Listings:
    """Serves the reads that no single registry could."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._authorizer = Authorizer(deps, endpoint="listing")
        self._listings: BoundedCache[tuple[int, Identity], tuple[str, ...]] = BoundedCache(
            max_entries=_CACHED_LISTINGS, max_bytes=_CACHED_BYTES, size_of=_size_of
        )

    def handle(self, request: Request, registry_request: RegistryRequest) -> Response | Awaitable[Response]:
        """Respond to a read of one of the routes BASE, CATALOG and REFERRERS."""
        caller = self._deps.gateway.identify(request.headers)
        if isinstance(caller, Caller):
            return self._respond(request, registry_request, caller)
        return self._identified(request, registry_request, caller)

    async def _identified(
        self, request: Request, registry_request: RegistryRequest, caller: Awaitable[Caller]
    ) -> Response:
        return await complete(self._respond(request, registry_request, await caller))

    def _respond(
        self, request: Request, registry_request: RegistryRequest, caller: Caller
    ) -> Response | Awaitable[Response]:
        authorization = request.headers.get("authorization", "")
        verdict = self._authorizer.authorize(registry_request, authorization, caller)
        if isinstance(verdict, Refusal):
            return verdict.response
        if isinstance(verdict, NeedsCatalog) or registry_request.route is Route.REFERRERS:
            return self._referrers(registry_request, verdict)
        if registry_request.route is Route.CATALOG:
            return self._catalog(registry_request, verdict, caller)
        return json_response(200, {}, (("docker-distribution-api-version", "registry/2.0"),))

    def _catalog(self, request: RegistryRequest, authorized: Authorized, caller: Caller) -> Response:
        names = self._visible(authorized)
        if not names and authorized.token.identity.credential is CredentialKind.NONE:
            return self._authorizer.refuse_empty_listing(request, authorized, caller).response
        size = min(_PAGE if request.n is None else request.n, _LARGEST_PAGE)
        start = bisect_right(names, request.last) if request.last else 0
        page = names[start : start + size]
        headers: tuple[tuple[str, str], ...] = ()
        if page and start + size < len(names):
            headers = (("link", f'</v2/_catalog?n={size}&last={quote(page[-1], safe="/")}>; rel="next"'),)
        return json_response(200, {"repositories": list(page)}, headers)

    def _visible(self, authorized: Authorized) -> tuple[str, ...]:
        """The names of one listing, the same for every page under one policy.

        Nothing in it depends on the clock: certifications gate pushes alone.
        """
        key = (authorized.snapshot.generation, authorized.token.identity)
        names = self._listings.get(key)
        if names is None:
            names = visible_repositories(authorized.snapshot, authorized.token.identity, self._deps.now())
            self._listings.put(key, names)
        return names

    async def _referrers(self, request: RegistryRequest, verdict: Verdict) -> Response:
        authorized = await self._authorizer.complete(verdict)
        if isinstance(authorized, Refusal):
            return authorized.response
        try:
            found = await self._deps.catalog.referrers(request.project, request.repository, request.reference)
        except CatalogUnavailableError:
            who = authorized.token.identity.name
            facts = MessageFacts(project=request.project, repository=request.repository, who=who)
            return denied(request, sentence(Reason.CATALOG_UNAVAILABLE, facts), ()).response
        wanted = parse_qs(request.query).get("artifactType", [""])[0]
        headers = (("oci-filters-applied", "artifactType"),) if wanted else ()
        index: Mapping[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [entry for entry in found if not wanted or entry.get("artifactType") == wanted],
        }
        body = json_response(200, index).body
        return Response(200, (("content-type", OCI_INDEX), *headers), body)


def _size_of(_key: tuple[int, Identity], names: tuple[str, ...]) -> int:
    return sum(map(len, names)) + _NAME_OVERHEAD * (len(names) + 1)
