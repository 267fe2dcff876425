"""What this service answers itself: `/v2/`, `_catalog` over all projects, and the referrers of a manifest.

Sources: OCI distribution specification 1.1 ("Listing Referrers"), Distribution "HTTP API V2" (`_catalog`, pagination).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
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
from berth.services.access.authorize.authorizer import Authorized, Authorizer
from berth.services.access.deps import Deps
from berth.services.access.http.messages import Request, Response, json_answer
from berth.services.access.http.refusals import Refusal, denied
from berth.services.access.upstream.ports import CatalogUnavailableError

_PAGE: Final = 100
_LARGEST_PAGE: Final = 1000
_CACHED_LISTS: Final = 64
_CACHED_BYTES: Final = 32 * 1024 * 1024
_NAME_OVERHEAD: Final = 64  # bytes of a name in a tuple besides its characters


class Listings:
    """Answers reads that no single registry could."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._judge = Authorizer(deps, endpoint="listing")
        self._lists: BoundedCache[tuple[int, Identity], tuple[str, ...]] = BoundedCache(
            max_entries=_CACHED_LISTS, max_bytes=_CACHED_BYTES, size_of=_size_of_listing
        )

    async def answer(self, request: Request, asked: RegistryRequest) -> Response:
        """The answer to a read of one of the routes BASE, CATALOG and REFERRERS."""
        caller = await self._deps.gateway.vouched(request.headers)
        judged = await self._judge.judge(asked, request.headers.get("authorization", ""), caller)
        if isinstance(judged, Refusal):
            return judged.answer
        if asked.route is Route.BASE:
            return json_answer(200, {}, (("docker-distribution-api-version", "registry/2.0"),))
        if asked.route is Route.CATALOG:
            return self._catalog(asked, judged, caller)
        return await self._referrers(asked, judged)

    def _catalog(self, asked: RegistryRequest, judged: Authorized, caller: Caller) -> Response:
        names = self._visible(judged)
        if not names and judged.token.identity.credential is CredentialKind.NONE:
            return self._judge.nothing_public(asked, judged, caller).answer
        size = min(_PAGE if asked.n is None else asked.n, _LARGEST_PAGE)
        start = bisect_right(names, asked.last) if asked.last else 0
        page = names[start : start + size]
        headers: tuple[tuple[str, str], ...] = ()
        if page and start + size < len(names):
            headers = (("link", f'</v2/_catalog?n={size}&last={quote(page[-1], safe="/")}>; rel="next"'),)
        return json_answer(200, {"repositories": list(page)}, headers)

    def _visible(self, judged: Authorized) -> tuple[str, ...]:
        """Every page of one listing comes from one list, as long as the policy does not change.

        Nothing in it depends on the clock: certifications gate pushes alone.
        """
        key = (judged.snapshot.generation, judged.token.identity)
        known = self._lists.get(key)
        if known is None:
            known = visible_repositories(judged.snapshot, judged.token.identity, self._deps.now())
            self._lists.put(key, known)
        return known

    async def _referrers(self, asked: RegistryRequest, judged: Authorized) -> Response:
        try:
            found = await self._deps.catalog.referrers(asked.project, asked.repository, asked.reference)
        except CatalogUnavailableError:
            facts = MessageFacts(project=asked.project, repository=asked.repository, who=judged.token.identity.name)
            return denied(asked, sentence(Reason.CATALOG_UNAVAILABLE, facts), ()).answer
        wanted = parse_qs(asked.query).get("artifactType", [""])[0]
        headers = (("oci-filters-applied", "artifactType"),) if wanted else ()
        index: Mapping[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [entry for entry in found if not wanted or entry.get("artifactType") == wanted],
        }
        answer = json_answer(200, index, headers)
        return Response(200, (("content-type", OCI_INDEX), *headers), answer.body)


def _size_of_listing(_key: tuple[int, Identity], names: tuple[str, ...]) -> int:
    return sum(map(len, names)) + _NAME_OVERHEAD * (len(names) + 1)
