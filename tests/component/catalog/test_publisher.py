"""Repositories as objects of a real API server: created at the first push, and written only when they differ."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from berth.api import names
from berth.catalog.db.database import Database, open_database
from berth.catalog.publish.publisher import Publisher
from berth.kube.client import KubeClient
from tests.kit.catalog.cluster import DEADLINE, Cluster, eventually, shown
from tests.kit.catalog.contents import Catalog, digest, image
from tests.kit.catalog.postgres import Postgres


@asynccontextmanager
async def publishing(cluster: Cluster, catalog: Catalog, *, interval: float = 0.0) -> AsyncIterator[Publisher]:
    """A running publisher that is notified of each commit, as in the process."""
    async with KubeClient.connect(cluster.kubeconfig) as client:
        publisher = Publisher(
            catalog.database, catalog.write_log, client, now=lambda: catalog.now, interval_seconds=interval
        )
        catalog.on_change = publisher.enqueue
        task = asyncio.create_task(publisher.run())
        try:
            await eventually(lambda: publisher.is_idle)
            yield publisher
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def catalog(sqlite: Database) -> Catalog:
    return Catalog(sqlite)


async def test_the_first_push_makes_the_object_with_two_writes(cluster: Cluster, catalog: Catalog) -> None:
    async with publishing(cluster, catalog) as publisher:
        mark = cluster.plane.audit_position()
        await catalog.push(image(), "v1", key=cluster.key("tools/aligner"))
        name = names.repository_object_name("tools/aligner")
        status = await eventually(shown(cluster, name))
        await eventually(lambda: publisher.is_idle)

        made = cluster.repositories()[name]
        assert made["spec"] == {"repository": "tools/aligner"}
        assert made["metadata"]["labels"] == {"berth.dev/project": cluster.project, "berth.dev/repository": name}
        assert status["tags"] == [
            {
                "name": "v1",
                "digest": digest(image()),
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "size": str(len(image()) + 1010),
                "pushedAt": "2026-11-24T12:00:01Z",
                "pushedBy": "curator",
            }
        ]
        assert (status["tagCount"], status["digestCount"]) == (1, 1)
        assert status["lastPush"] == {
            "tag": "v1",
            "digest": digest(image()),
            "at": "2026-11-24T12:00:01Z",
            "by": "curator",
        }
        (condition,) = status["conditions"]
        assert (condition["type"], condition["status"], condition["reason"]) == ("CatalogInSync", "True", "InSync")
        assert [(write.subresource, write.code) for write in cluster.writes(mark)] == [("", 201), ("status", 200)]
        assert not (await catalog.view(cluster.key("tools/aligner"))).object_due


async def test_a_moved_tag_is_one_write(cluster: Cluster, catalog: Catalog) -> None:
    async with publishing(cluster, catalog) as publisher:
        await catalog.push(image(), "v1", key=cluster.key("aligner"))
        await eventually(shown(cluster, "aligner"))
        await eventually(lambda: publisher.is_idle)
        mark = cluster.plane.audit_position()
        await catalog.push(image(salt="2"), "v1", key=cluster.key("aligner"))
        await eventually(
            lambda: cluster.repositories()["aligner"]["status"]["tags"][0]["digest"] == digest(image(salt="2"))
        )
        await eventually(lambda: publisher.is_idle)
        assert [write.subresource for write in cluster.writes(mark)] == ["status"]


async def test_a_restart_writes_nothing(cluster: Cluster, catalog: Catalog) -> None:
    cluster.declare("declared")
    async with publishing(cluster, catalog) as publisher:
        for n in range(3):
            await catalog.push(image(), "v1", key=cluster.key(f"tools/r{n}"))
        await eventually(lambda: len(cluster.repositories()) == 4)
        await eventually(lambda: publisher.is_idle)
    mark = cluster.plane.audit_position()
    async with publishing(cluster, catalog) as publisher:
        await eventually(lambda: publisher.is_idle)
    assert cluster.writes(mark) == []


async def test_a_restart_publishes_what_was_recorded_before(cluster: Cluster, catalog: Catalog) -> None:
    await catalog.push(image(), "v1", key=cluster.key("aligner"))
    async with publishing(cluster, catalog):
        status = await eventually(shown(cluster, "aligner"))
    assert status["tagCount"] == 1


async def test_a_declared_repository_is_found_by_its_path_and_its_spec_is_left_alone(
    cluster: Cluster, catalog: Catalog
) -> None:
    cluster.declare("my-tool", repository="tools/aligner", description="Short-read aligner")
    async with publishing(cluster, catalog):
        await catalog.push(image(), "v1", key=cluster.key("tools/aligner"))
        await eventually(lambda: (shown(cluster, "my-tool")() or {}).get("tagCount") == 1)

    (only,) = cluster.repositories().values()
    assert only["spec"] == {"repository": "tools/aligner", "description": "Short-read aligner"}
    assert only["metadata"]["generation"] == 1


async def test_an_object_that_a_user_creates_at_the_same_time_stays_unchanged(
    cluster: Cluster, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = KubeClient.create

    async def a_moment_later(client: KubeClient, *arguments: Any, **options: Any) -> Any:
        if not cluster.repositories():
            cluster.declare("aligner", description="Short-read aligner")
        return await create(client, *arguments, **options)

    monkeypatch.setattr(KubeClient, "create", a_moment_later)
    async with publishing(cluster, catalog):
        await catalog.push(image(), "v1", key=cluster.key("aligner"))
        await eventually(lambda: (shown(cluster, "aligner")() or {}).get("tagCount") == 1)
    (only,) = cluster.repositories().values()
    assert only["spec"] == {"description": "Short-read aligner"}
    assert only["metadata"]["generation"] == 1


@pytest.mark.parametrize("verb", ["patch", "update", "delete", "deletecollection"])
def test_the_catalog_may_change_no_object_that_exists(cluster: Cluster, verb: str) -> None:
    query = ("auth", "can-i", verb, "dockerrepositories.berth.dev", "-n", cluster.namespace)
    assert cluster.plane.kubectl(*query, f"--kubeconfig={cluster.kubeconfig}").stdout.strip() == "no"


async def test_a_declared_repository_without_a_push_says_so(cluster: Cluster, catalog: Catalog) -> None:
    cluster.declare("aligner")
    async with publishing(cluster, catalog):
        status = await eventually(shown(cluster, "aligner"))
    assert (status["tagCount"], status["digestCount"]) == (0, 0)
    assert status["conditions"][0]["reason"] == "NeverPushed"
    assert "lastPush" not in status


async def test_the_object_name_of_another_path_is_not_taken(cluster: Cluster, catalog: Catalog) -> None:
    cluster.declare("aligner", repository="tools/aligner")
    async with publishing(cluster, catalog):
        await catalog.push(image(), "v1", key=cluster.key("aligner"))
        await eventually(lambda: len(cluster.repositories()) == 2)

    (made,) = (item for name, item in cluster.repositories().items() if name != "aligner")
    assert made["spec"] == {"repository": "aligner"}
    assert made["metadata"]["name"].startswith("aligner-")


async def test_a_deleted_object_stays_deleted_until_the_next_push(cluster: Cluster, catalog: Catalog) -> None:
    key = cluster.key("aligner")
    async with publishing(cluster, catalog) as publisher:
        await catalog.push(image(), "v1", key=key)
        await eventually(shown(cluster, "aligner"))
        await eventually(lambda: publisher.is_idle)
        cluster.plane.kubectl("delete", "dockerrepository", "aligner", "-n", cluster.namespace, check=True)
        publisher.enqueue(key)
        await eventually(lambda: publisher.is_idle)
    async with publishing(cluster, catalog) as publisher:
        await eventually(lambda: publisher.is_idle)
        assert cluster.repositories() == {}
        await catalog.push(image(salt="2"), "v1", key=key)
        status = await eventually(shown(cluster, "aligner"))
    assert status["tags"][0]["digest"] == digest(image(salt="2"))


async def test_where_repositories_must_be_declared_none_is_made(cluster: Cluster, catalog: Catalog) -> None:
    declared = '{"spec":{"repositoryCreation":"Declared"}}'
    cluster.plane.kubectl("patch", "project", cluster.project, "--type=merge", "-p", declared, check=True)
    async with publishing(cluster, catalog) as publisher:
        mark = cluster.plane.audit_position()
        await catalog.push(image(), "v1", key=cluster.key("aligner"))
        await eventually(lambda: publisher.is_idle)
        assert cluster.writes(mark) == []

        on_push = '{"spec":{"repositoryCreation":"OnPush"}}'
        cluster.plane.kubectl("patch", "project", cluster.project, "--type=merge", "-p", on_push, check=True)
        await eventually(shown(cluster, "aligner"))


async def test_a_status_that_another_client_changed_is_restored(cluster: Cluster, catalog: Catalog) -> None:
    async with publishing(cluster, catalog):
        await catalog.push(image(), "v1", key=cluster.key("aligner"))
        await eventually(shown(cluster, "aligner"))
        cluster.plane.kubectl(
            "patch", "dockerrepository", "aligner", "-n", cluster.namespace, "--subresource=status", "--type=merge",
            "-p", '{"status":{"tagCount":99}}', check=True,
        )  # fmt: skip
        await eventually(lambda: cluster.repositories()["aligner"]["status"]["tagCount"] == 1)


async def test_what_others_write_into_the_status_stays(cluster: Cluster, catalog: Catalog) -> None:
    async with publishing(cluster, catalog):
        await catalog.push(image(), "v1", key=cluster.key("aligner"))
        await eventually(shown(cluster, "aligner"))
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "Ready",
            "message": "ready",
            "lastTransitionTime": "2026-11-24T12:00:00Z",
        }
        cluster.plane.kubectl(
            "apply", "--server-side", "--subresource=status", "--field-manager=berth-operator", "-f", "-",
            input={
                "apiVersion": names.API_VERSION,
                "kind": "DockerRepository",
                "metadata": {"name": "aligner", "namespace": cluster.namespace},
                "status": {"observedGeneration": 1, "conditions": [ready]},
            },
            check=True,
        )  # fmt: skip
        await catalog.push(image(salt="2"), "v2", key=cluster.key("aligner"))
        await eventually(lambda: cluster.repositories()["aligner"]["status"]["tagCount"] == 2)
        status = cluster.repositories()["aligner"]["status"]
    assert {condition["type"] for condition in status["conditions"]} == {"CatalogInSync", "Ready"}
    assert status["observedGeneration"] == 1


async def test_a_hundred_pushes_at_once_are_few_writes_and_the_last_one_shows(
    cluster: Cluster, catalog: Catalog
) -> None:
    async with publishing(cluster, catalog, interval=1.0) as publisher:
        mark = cluster.plane.audit_position()
        for n in range(100):
            await catalog.push(image(salt=str(n)), "v1", key=cluster.key("aligner"))
        last = digest(image(salt="99"))
        await eventually(
            lambda: (shown(cluster, "aligner")() or {"tags": [{"digest": ""}]})["tags"][0]["digest"] == last
        )
        await eventually(lambda: publisher.is_idle)
        statuses = [write for write in cluster.writes(mark) if write.subresource == "status"]
    elapsed_intervals = 1 + DEADLINE
    assert len(statuses) < elapsed_intervals


async def test_two_replicas_on_one_database_show_the_last_push_in_the_end(
    cluster: Cluster, postgres: Postgres, unique: str
) -> None:
    async with open_database(postgres.create(unique)) as one, open_database(postgres.url(unique)) as other:
        await one.migrate()
        catalogs = (Catalog(one), Catalog(other, ids=itertools.count(1000)))
        async with (
            publishing(cluster, catalogs[0]) as first,
            publishing(cluster, catalogs[1]) as second,
        ):
            for n in range(20):
                catalogs[n % 2].now = catalogs[(n + 1) % 2].now
                await catalogs[n % 2].push(image(salt=str(n)), "v1", key=cluster.key("aligner"))
            await eventually(lambda: first.is_idle and second.is_idle)
            status = cluster.repositories()["aligner"]["status"]
    assert status["digestCount"] == 20
    assert status["tags"][0]["digest"] == digest(image(salt="19"))
