"""Reconcile a DockerRepository, in memory."""

from __future__ import annotations

from typing import Any

import pytest

from berth.api import names
from berth.desired.sharing.access_policy import repository_policy_name
from berth.kube.errors import ForbiddenError
from berth.kube.resources import ACCESS_POLICIES, DOCKER_REPOSITORIES, NAMESPACES, PROJECTS, Manifest
from berth.reconcile.dispatch import RequeueError
from berth.reconcile.kinds.repository import PROGRESS_RESYNC_SECONDS
from berth.reconcile.outcome import STALLED_RESYNC_SECONDS
from tests.kit.operator.memory import Operator, Write, invalid, manifest, namespace_of

SPACE = "berth-alpha"


async def ready() -> Operator:
    """An operator with the project alpha."""
    operator = Operator()
    await operator.ready_project()
    return operator


def put(operator: Operator, name: str = "aligner", namespace: str = SPACE, **spec: Any) -> Manifest:
    """A repository, as its owner applies it."""
    return operator.put(manifest(DOCKER_REPOSITORIES, name, namespace, **spec))


def finalizers(operator: Operator, name: str = "aligner", namespace: str = SPACE) -> list[str]:
    """Its finalizers."""
    live = operator.live(DOCKER_REPOSITORIES, name, namespace)
    assert live is not None
    return list(live["metadata"].get("finalizers") or [])


async def reconcile(operator: Operator, name: str = "aligner", namespace: str = SPACE) -> float | None:
    return await operator.reconcile(DOCKER_REPOSITORIES, name, namespace)


async def test_without_local_sharing_it_gets_its_finalizer_and_status_and_no_policy() -> None:
    operator = await ready()
    put(operator)
    assert await reconcile(operator) is None
    assert [write.kind for write in operator.api.writes] == ["DockerRepository", "DockerRepository"]
    assert finalizers(operator) == [names.FINALIZER]
    assert operator.condition(DOCKER_REPOSITORIES, "aligner", "Ready", SPACE)[0] == "True"
    operator.api.writes.clear()
    assert await reconcile(operator) is None
    assert operator.api.writes == []


async def test_local_sharing_makes_a_policy_and_its_end_prunes_it() -> None:
    operator = await ready()
    put(operator, localSharing=[])
    assert await reconcile(operator) is None
    policy = operator.live(ACCESS_POLICIES, "aligner", SPACE)
    assert policy is not None
    assert policy["spec"]["rules"] == []
    assert operator.condition(DOCKER_REPOSITORIES, "aligner", "Ready", SPACE)[0] == "True"
    operator.change(DOCKER_REPOSITORIES, "aligner", SPACE, spec={"localSharing": None})
    assert await reconcile(operator) is None
    assert operator.live(ACCESS_POLICIES, "aligner", SPACE) is None
    assert operator.live(ACCESS_POLICIES, "project", SPACE) is not None


async def test_the_policy_of_a_repository_that_is_gone_is_pruned() -> None:
    operator = await ready()
    put(operator, localSharing=[])
    await reconcile(operator)
    operator.remove(DOCKER_REPOSITORIES, "aligner", SPACE)
    operator.api.writes.clear()
    assert await reconcile(operator) is None
    assert operator.api.writes == [Write("delete", "AccessPolicy", "aligner")]


async def test_a_policy_of_its_name_with_another_label_is_not_its_own() -> None:
    operator = await ready()
    labels = {names.LABEL_PROJECT: "alpha", names.LABEL_REPOSITORY: "other"}
    made = {names.ANNOTATION_DESIRED_HASH: "0"}
    operator.put(manifest(ACCESS_POLICIES, "aligner", SPACE, labels=labels, annotations=made, state="Active"))
    put(operator)
    await reconcile(operator)
    assert operator.live(ACCESS_POLICIES, "aligner", SPACE) is not None
    assert operator.condition(DOCKER_REPOSITORIES, "aligner", "Ready", SPACE)[0] == "True"


async def test_a_repository_called_project_leaves_the_policy_of_the_project_alone() -> None:
    operator = await ready()
    put(operator, "project", localSharing=[])
    await reconcile(operator, "project")
    assert operator.live(ACCESS_POLICIES, repository_policy_name("project"), SPACE) is not None
    operator.remove(DOCKER_REPOSITORIES, "project", SPACE)
    await reconcile(operator, "project")
    assert operator.live(ACCESS_POLICIES, "project", SPACE) is not None
    assert operator.live(ACCESS_POLICIES, repository_policy_name("project"), SPACE) is None


@pytest.mark.parametrize("namespace", ["elsewhere", "unlabelled"])
async def test_outside_a_project_it_is_stalled_without_finalizer_and_policy(namespace: str) -> None:
    operator = await ready()
    if namespace == "unlabelled":
        operator.put(namespace_of(namespace))
    put(operator, namespace=namespace, localSharing=[])
    assert await reconcile(operator, namespace=namespace) == STALLED_RESYNC_SECONDS
    assert finalizers(operator, namespace=namespace) == []
    assert operator.live(ACCESS_POLICIES, "aligner", namespace) is None
    condition = operator.condition(DOCKER_REPOSITORIES, "aligner", "Stalled", namespace)
    assert condition == ("True", "NotInProjectNamespace")


async def test_the_younger_of_two_with_one_path_is_stalled_and_gets_nothing() -> None:
    operator = await ready()
    put(operator, "first", repository="tools/aligner")
    operator.pass_time(60)
    put(operator, "second", repository="tools/aligner", localSharing=[])
    assert await reconcile(operator, "first") is None
    assert await reconcile(operator, "second") == STALLED_RESYNC_SECONDS
    assert finalizers(operator, "second") == []
    assert operator.live(ACCESS_POLICIES, "second", SPACE) is None
    assert operator.condition(DOCKER_REPOSITORIES, "second", "Stalled", SPACE) == ("True", "PathTaken")
    operator.remove(DOCKER_REPOSITORIES, "first", SPACE)
    assert await reconcile(operator, "second") is None
    assert operator.live(ACCESS_POLICIES, "second", SPACE) is not None


async def test_a_deleted_repository_is_kept_in_the_trash() -> None:
    operator = await ready()
    put(operator, localSharing=[])
    await reconcile(operator)
    operator.change(DOCKER_REPOSITORIES, "aligner", SPACE, metadata={"deletionTimestamp": "2026-11-24T12:00:00Z"})
    assert await reconcile(operator) is None
    assert finalizers(operator) == [names.FINALIZER]
    policy = operator.live(ACCESS_POLICIES, "aligner", SPACE)
    assert policy is not None
    assert policy["spec"]["state"] == "Trashed"
    assert operator.condition(DOCKER_REPOSITORIES, "aligner", "Trashed", SPACE) == ("True", "RepositoryDeleted")


@pytest.mark.parametrize("why", ["elsewhere", "terminating", "path taken"])
async def test_a_deleted_repository_without_data_is_released(why: str) -> None:
    operator = await ready()
    namespace = SPACE
    if why == "elsewhere":
        namespace = "elsewhere"
    elif why == "terminating":
        operator.change(NAMESPACES, SPACE, metadata={"deletionTimestamp": "2026-11-24T12:00:00Z"})
    else:
        put(operator, "first", repository="aligner")
        operator.pass_time(60)
    live = manifest(DOCKER_REPOSITORIES, "aligner", namespace)
    live["metadata"] |= {"deletionTimestamp": "2026-11-24T12:00:00Z", "finalizers": [names.FINALIZER]}
    operator.put(live)
    operator.api.writes.clear()
    assert await reconcile(operator, namespace=namespace) is None
    assert operator.api.writes == [Write("merge", "DockerRepository", "aligner")]
    assert operator.live(DOCKER_REPOSITORIES, "aligner", namespace) is None


async def test_in_a_terminating_namespace_no_finalizer_is_set_and_no_policy_written() -> None:
    operator = await ready()
    operator.change(NAMESPACES, SPACE, metadata={"deletionTimestamp": "2026-11-24T12:00:00Z"})
    put(operator, localSharing=[])
    await reconcile(operator)
    assert finalizers(operator) == []
    assert operator.live(ACCESS_POLICIES, "aligner", SPACE) is None


async def test_a_refused_policy_is_reported_and_tried_again() -> None:
    operator = await ready()
    put(operator, localSharing=[])
    operator.api.refusals["apply", "AccessPolicy"] = ForbiddenError("not now", status=403)
    with pytest.raises(RequeueError, match="not now"):
        await reconcile(operator)
    assert operator.condition(DOCKER_REPOSITORIES, "aligner", "Ready", SPACE) == ("False", "ApplyRefused")


async def test_an_invalid_policy_stalls_it() -> None:
    operator = await ready()
    put(operator, localSharing=[])
    operator.api.refusals["apply", "AccessPolicy"] = invalid()
    assert await reconcile(operator) == STALLED_RESYNC_SECONDS


async def test_a_policy_that_cannot_be_pruned_is_reported() -> None:
    operator = await ready()
    put(operator, localSharing=[])
    await reconcile(operator)
    operator.change(DOCKER_REPOSITORIES, "aligner", SPACE, spec={"localSharing": None})
    operator.api.refusals["delete", "AccessPolicy"] = ForbiddenError("may not", status=403)
    with pytest.raises(RequeueError, match="may not"):
        await reconcile(operator)


async def test_a_repository_of_a_trashed_project_cannot_be_pushed_to() -> None:
    operator = await ready()
    put(operator)
    operator.change(PROJECTS, "alpha", spec={"trashed": True})
    await reconcile(operator)
    assert operator.condition(DOCKER_REPOSITORIES, "aligner", "Pushable", SPACE)[0] == "False"


async def test_while_its_project_does_not_exist_it_is_requeued_again() -> None:
    operator = await ready()
    put(operator)
    operator.remove(PROJECTS, "alpha")
    after = await reconcile(operator)
    assert after in (PROGRESS_RESYNC_SECONDS, STALLED_RESYNC_SECONDS)
    assert operator.condition(DOCKER_REPOSITORIES, "aligner", "Ready", SPACE)[0] == "False"


async def test_a_status_that_waits_for_access_is_written_a_little_later() -> None:
    operator = await ready()
    put(operator)
    await reconcile(operator)
    operator.problem = "Pod access-1 of the access service does not answer."
    operator.change(DOCKER_REPOSITORIES, "aligner", SPACE, spec={"description": "new"})
    assert await reconcile(operator) == 1.0
