"""The gateway accepts genuine registry tokens alone, and for no more than they grant."""

from __future__ import annotations

from tests.kit.access.forgeries import Forge, forgeries
from tests.kit.access.world import AUTHORITY, LEAF, World

SCOPE = "repository:genomics/aligner:pull,push"
READ, WRITE = ("GET", "/v2/genomics/aligner/manifests/1"), ("POST", "/v2/genomics/aligner/blobs/uploads/")


async def test_of_more_than_60_twisted_tokens_none_is_accepted(world: World) -> None:
    forge = Forge(await world.token("ann", SCOPE), LEAF, AUTHORITY)
    assert (await world.authz(*READ, forge.genuine)).status == 200
    assert (await world.authz(*READ, forge.signed())).status == 200
    twisted = forgeries(forge)
    assert len(twisted) >= 60
    for name, token in twisted.items():
        for request in (READ, WRITE, ("GET", "/v2/"), ("GET", "/v2/_catalog")):
            response = await world.ask(*request, token)
            assert (response.status, response.code) == (401, "UNAUTHORIZED"), name
            assert response.headers["www-authenticate"].startswith("Bearer realm="), name


async def test_a_token_of_one_project_is_worth_nothing_in_another(world: World) -> None:
    other = await world.token("ann", "repository:other/x:pull")
    assert (await world.ask("GET", "/v2/other/x/manifests/1", other)).status == 200
    for request in (
        READ,
        WRITE,
        ("GET", "/v2/genomics/aligner/tags/list"),
        ("GET", "/v2/genomics/private/manifests/1"),
    ):
        assert (await world.ask(*request, other)).status in (401, 403)
    for response in (
        await world.put("/v2/genomics/aligner/manifests/1", other, b"{}"),
        await world.call("DELETE", "/v2/genomics/aligner/manifests/1", {"authorization": f"Bearer {other}"}),
    ):
        assert response.status in (401, 403)
    assert world.catalog.writes == {}
