"""The audit log of access beside the log of the gateway."""

from __future__ import annotations

import json

from e2e.suite.crowd import Projects
from e2e.suite.http import Session
from e2e.suite.world import SYSTEM, Cluster, eventually


def requests_of(cluster: Cluster, process: str, repository: str) -> dict[str, set[str]]:
    """What the lines about a repository say of each request, by its id: the endpoints in the audit log, the method in
    the gateway's."""
    selector = f"--selector=app.kubernetes.io/component={process}"
    said = cluster.kubectl("logs", selector, f"--namespace={SYSTEM}", "--all-containers", "--tail=-1").must()
    found: dict[str, set[str]] = {}
    for line in map(json.loads, (line for line in said.out.splitlines() if repository in line)):
        found.setdefault(line["requestId"], set()).add(line["endpoint"] if process == "access" else line["method"])
    return found


def test_a_decision_is_found_in_the_gateways_log_by_the_id_of_its_request(
    cluster: Cluster, curator: Session, projects: Projects
) -> None:
    repository = f"{projects.make('audited')}/shelf"
    session = curator.hold(repository)
    session.push(repository, "v1", b"shelf").must(201)
    session.pull(repository, "v1").must(200)

    def both() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        decided = requests_of(cluster, "access", repository)
        judged = {key: paths for key, paths in decided.items() if "authz" in paths}  # the rest requested tokens
        return judged, requests_of(cluster, "gateway", repository)

    def joined() -> bool:
        judged, logged = both()
        return {"authz", "manifest"} in judged.values() and judged.keys() == logged.keys()

    eventually(joined, "each request of the gateway's log is in the audit log, by its id")
    judged, logged = both()
    assert {frozenset(logged[key]) for key, paths in judged.items() if "manifest" in paths} == {frozenset({"PUT"})}
    assert "GET" in {method for methods in logged.values() for method in methods}
