"""A push is answered with a warning before the certification ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.kit.access.world import World, manifest

SCOPE = "repository:genomics/aligner:pull,push"
MANIFEST = "/v2/genomics/aligner/manifests/1"


async def warned(world: World, left: timedelta | None) -> str:
    """The Warning header of a push, with so much time left."""
    end = datetime.fromtimestamp(world.time, UTC) + left if left is not None else None
    world.certify({"ann": end})
    response = await world.put(MANIFEST, await world.token("ann", SCOPE), manifest())
    assert response.status == 201
    return response.headers.get("warning", "")


async def test_a_push_in_the_last_two_weeks_is_answered_with_a_warning(world: World) -> None:
    header = await warned(world, timedelta(days=3, hours=1))
    assert header.startswith('299 - "The certification of ann to push ends in 3 days, at ')
    assert header.endswith('; ask your registry administrators for a new Certification."')
    assert (await warned(world, timedelta(days=14))).startswith("299 ")


async def test_no_other_push_and_no_delete_is(world: World) -> None:
    assert await warned(world, timedelta(days=14, seconds=1)) == ""
    assert await warned(world, None) == ""
    world.certify({"ann": datetime.fromtimestamp(world.time, UTC) + timedelta(days=1)})
    token = await world.token("ann", "repository:genomics/aligner:pull,delete")
    deleted = await world.call("DELETE", MANIFEST, {"authorization": f"Bearer {token}"})
    assert (deleted.status, "warning" in deleted.headers) == (202, False)
