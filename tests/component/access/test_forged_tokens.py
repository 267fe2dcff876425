"""What no registry token may do, at a real registry behind the service and straight at it."""

from __future__ import annotations

from tests.kit.access.forgeries import Forge, forgeries
from tests.kit.access.served import Served
from tests.kit.access.world import AUTHORITY, LEAF

SCOPE = "repository:genomics/aligner:pull,push"
TAGS, UPLOAD = "/v2/genomics/aligner/tags/list", "/v2/genomics/aligner/blobs/uploads/"


async def test_the_registry_accepts_none_of_more_than_60_twisted_tokens(service: Served) -> None:
    forge = Forge(await service.world.token("ann", SCOPE), LEAF, AUTHORITY)
    for good in (forge.genuine, forge.signed()):
        opened = await service.ask("POST", service.registry.url + UPLOAD, {"authorization": f"Bearer {good}"})
        assert opened.status == 202
    accepted = []
    for name, token in forgeries(forge).items():
        for method, target in (("GET", TAGS), ("POST", UPLOAD)):
            response = await service.ask(method, service.registry.url + target, {"authorization": f"Bearer {token}"})
            if response.status not in (400, 401):
                accepted.append((name, method, response.status))
            behind = await service.through_gateway(method, target, token)
            if behind.status != 401:
                accepted.append((name, method, behind.status))
    assert accepted == []


async def test_tokens_of_one_project_replayed_at_the_registry_of_another_are_refused(service: Served) -> None:
    tokens = [
        await service.world.token("ann", "repository:other/x:pull"),
        await service.world.token("ann", "repository:other/genomics/aligner:pull,push"),
        await service.world.token("bob", "repository:other/x:pull,push", SCOPE),
        await service.world.token(None, SCOPE),
        await service.world.token("ann"),
    ]
    for token in tokens:
        for method, target in (
            ("POST", UPLOAD),
            ("DELETE", "/v2/genomics/aligner/manifests/v1"),
            ("GET", "/v2/other/x/tags/list"),
        ):
            response = await service.ask(method, service.registry.url + target, {"authorization": f"Bearer {token}"})
            assert response.status == 401, (method, target)
