"""Berth's writes to the API server, counted in its audit log: one for each change, and none at rest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from e2e.suite.audit import AuditLog
from e2e.suite.crowd import Projects
from e2e.suite.http import Session
from e2e.suite.world import SYSTEM, Cluster, await_ready, eventually, now, project_object

OPERATOR = f"system:serviceaccount:{SYSTEM}:berth-operator"
CATALOG = f"system:serviceaccount:{SYSTEM}:berth-catalog"
AT_REST_SECONDS = 20.0
QUIET = timedelta(seconds=3)
EARLIER = datetime.min.replace(tzinfo=UTC)
STATUS_WRITES_OF_A_NEW_PROJECT = 2
FINALIZER_WRITES = 1


@dataclass
class Counted:
    """The writes of one user while something happened."""

    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def what(self) -> list[str]:
        """Each write as `verb resource/name (subresource)`."""
        said = []
        for event in self.events:
            where = event["objectRef"]
            part = f" ({where['subresource']})" if "subresource" in where else ""
            said.append(f"{event['verb']} {where['resource']}/{where.get('name', '')}{part}")
        return said

    @property
    def statuses(self) -> list[str]:
        return [write for write in self.what if write.endswith("(status)")]


@pytest.fixture(scope="module")
def project(projects: Projects, curator: Session) -> str:
    name = projects.make("ledger")
    curator.push(f"{name}/entry", "v1", b"entry").must(201)
    return name


@pytest.fixture(scope="module")
def log(cluster: Cluster) -> AuditLog:
    return AuditLog(cluster.state / "log" / "audit.log")


@contextmanager
def counting(log: AuditLog, user: str) -> Iterator[Counted]:
    """Count what a user writes inside the block and until no write came for a while."""
    settle(log, user)
    since, counted = now(), Counted()
    yield counted
    settle(log, user, after=now())
    counted.events = log.writes(user, since)


def settle(log: AuditLog, *users: str, after: datetime | None = None) -> None:
    """Wait until these users have written nothing for a while, all of it after a time if one is given."""

    def quiet() -> bool:
        since = max(*(log.last_write(user) for user in users), after or EARLIER)
        return now() - since >= QUIET

    eventually(quiet, f"{' and '.join(users)} write no more", every=0.1)


def test_at_rest_nothing_is_written(cluster: Cluster, log: AuditLog, project: str) -> None:
    settle(log, OPERATOR, CATALOG, after=now())
    since, ends = now(), time.monotonic() + AT_REST_SECONDS
    await_ready(cluster, project)

    def over() -> bool:
        return bool(written(log, since)) or time.monotonic() >= ends

    eventually(over, "the time has passed", seconds=AT_REST_SECONDS + 5)
    assert written(log, since) == []


def test_a_restart_of_operator_and_catalog_writes_nothing(cluster: Cluster, log: AuditLog, project: str) -> None:
    since = now()
    deployments = ("deployment/berth-operator", "deployment/berth-catalog")
    cluster.kubectl("rollout", "restart", *deployments, f"--namespace={SYSTEM}").must()
    for deployment in deployments:
        cluster.kubectl("rollout", "status", deployment, f"--namespace={SYSTEM}").must()
    settle(log, OPERATOR, CATALOG, after=now())
    assert written(log, since) == []


def written(log: AuditLog, since: datetime) -> list[str]:
    """What operator and catalog wrote since then."""
    return Counted([*log.writes(OPERATOR, since), *log.writes(CATALOG, since)]).what


def test_a_changed_field_costs_the_child_and_one_status(cluster: Cluster, log: AuditLog, project: str) -> None:
    repository = {"spec": {"description": "what the project is for"}}
    with counting(log, OPERATOR) as counted:
        cluster.patch("project", project, repository).must()
        generation = (cluster.get("project", project) or {})["metadata"]["generation"]
        eventually(
            lambda: (cluster.get("project", project) or {})["status"]["observedGeneration"] == generation, "observed"
        )
    assert counted.what == [f"patch projects/{project} (status)"]

    sharing = [{"kind": "AuthenticatedUsers", "level": "View"}]
    with counting(log, OPERATOR) as counted:
        cluster.patch("project", project, {"spec": {"sharing": sharing}}).must()
        eventually(lambda: _shared_with(cluster, project) == ["AuthenticatedUsers"], "the policy says so")
    print(f"writes of a changed sharing: {counted.what}")
    assert counted.what.count("patch accesspolicies/project") == 1
    assert len(counted.statuses) == 1


def _shared_with(cluster: Cluster, project: str) -> list[str]:
    policy = cluster.get("accesspolicy", "project", f"berth-{project}") or {}
    return [rule["kind"] for rule in policy["spec"]["rules"]]


def test_a_new_project_costs_its_children_and_two_statuses_at_most(
    cluster: Cluster, log: AuditLog, projects: Projects
) -> None:
    name = projects.name("counted")
    with counting(log, OPERATOR) as counted:
        cluster.apply(project_object(name, projects.crowd.sharing))
        await_ready(cluster, name)
    status = (cluster.get("project", name) or {})["status"]
    children = len(status["inventory"])
    retained = [write for write in counted.what if write.startswith("patch persistentvolumes/")]
    print(f"writes of a new project: {len(counted.what)} for {children} children: {counted.what}")
    assert len(counted.statuses) <= STATUS_WRITES_OF_A_NEW_PROJECT
    assert len(retained) == 1
    others = [write for write in counted.what if write not in (*counted.statuses, *retained)]
    assert len(others) == children + FINALIZER_WRITES


def test_a_first_push_costs_the_repository_and_its_statuses(
    cluster: Cluster, log: AuditLog, projects: Projects, curator: Session
) -> None:
    name = projects.make("pushed")
    settle(log, CATALOG, after=now())
    with counting(log, CATALOG) as counted:
        curator.push(f"{name}/first", "v1", b"first").must(201)
        eventually(lambda: cluster.get("dockerrepository", "first", f"berth-{name}"), "the repository is there")
    print(f"writes of a first push: {counted.what}")
    assert len(counted.what) == 2
    with counting(log, CATALOG) as counted:
        curator.push(f"{name}/first", "v2", b"second").must(201)
    assert counted.what == ["patch dockerrepositories/first (status)"]
