"""Who can reach what inside the cluster, and what a token of one project is worth at another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from e2e.suite.clients.stage import json_items
from e2e.suite.content import MEDIA_MANIFEST
from e2e.suite.crowd import Projects
from e2e.suite.http import EMPTY_CONFIG, Answer, Headers, Session, Wire, location
from e2e.suite.matrix.operations import LAYER, OPERATIONS, Cell, first_image, own_image
from e2e.suite.world import HOST, SYSTEM, Cluster, eventually

STRANGER = "stranger"
PROBE = """
import concurrent.futures, json, socket, sys

def connects(where):
    try:
        socket.create_connection(tuple(where), timeout=3).close()
    except OSError:
        return False
    return True

targets = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(dict(zip(targets, pool.map(connects, targets.values())))))
"""


@pytest.fixture(scope="module")
def project(projects: Projects, curator: Session) -> str:
    name = projects.make("inner")
    curator.push(f"{name}/secret", "v1", b"secret").must(201)
    return name


@pytest.fixture(scope="module")
def stranger(cluster: Cluster) -> Iterator[str]:
    """A pod of another user, in a namespace of its own, with Python in it."""
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STRANGER}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": STRANGER,
                "namespace": STRANGER,
                # What Berth's own pods are called proves nothing: the namespace counts as well.
                "labels": {"app.kubernetes.io/name": "berth", "app.kubernetes.io/component": "gateway"},
            },
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": STRANGER,
                        "image": "berth.local/berth:dev",
                        "imagePullPolicy": "Never",
                        "command": ["python3", "-c", "import signal; signal.pause()"],
                    }
                ],
            },
        },
    )
    cluster.kubectl(
        "wait", "--for=condition=Ready", f"pod/{STRANGER}", f"--namespace={STRANGER}", "--timeout=60s"
    ).must()
    yield STRANGER
    cluster.kubectl("delete", "namespace", STRANGER, "--wait=false").must()


def reached(cluster: Cluster, places: Mapping[str, tuple[str, int]]) -> dict[str, bool]:
    """To which of these places a connection from the stranger's pod opens."""
    words = ("exec", STRANGER, f"--namespace={STRANGER}", "--", "python3", "-c", PROBE, json.dumps(places))
    return dict(json.loads(cluster.kubectl(*words).must().out))


def service(name: str, namespace: str) -> str:
    return f"{name}.{namespace}.svc.cluster.local"


def test_a_strangers_pod_reaches_the_gateway_and_nothing_behind_it(
    cluster: Cluster, project: str, stranger: str
) -> None:
    front = {"service": (service("berth-gateway", SYSTEM), 443), "host": (HOST, 443)}
    eventually(lambda: reached(cluster, front) == dict.fromkeys(front, True), "the gateway is reached")
    behind = {
        "registry": (service("registry", f"berth-{project}"), 5000),
        "access": (service("berth-access", SYSTEM), 80),
        "catalog": (service("berth-catalog", SYSTEM), 80),
        "registry's pod": (pod_address(cluster, f"berth-{project}"), 5000),
        "registry's debug port": (pod_address(cluster, f"berth-{project}"), 5001),
        "access's pod": (pod_address(cluster, SYSTEM, "access"), 8080),
        "catalog's pod": (pod_address(cluster, SYSTEM, "catalog"), 8080),
    }
    assert reached(cluster, behind) == dict.fromkeys(behind, False)


def pod_address(cluster: Cluster, namespace: str, component: str = "registry") -> str:
    chosen = f"--selector=app.kubernetes.io/component={component}"
    listed = cluster.kubectl("get", "pods", f"--namespace={namespace}", chosen, "--output=json").must()
    return str(json_items(listed.out)[0]["status"]["podIP"])


def registry_of(cluster: Cluster, project: str) -> tuple[str, int]:
    """Where the node reaches a project's registry past the gateway."""
    found = cluster.get("service", "registry", f"berth-{project}") or {}
    return str(found["spec"]["clusterIP"]), 5000


def test_the_token_of_one_project_opens_no_other_projects_registry(
    cluster: Cluster, projects: Projects, project: str, curator: Session
) -> None:
    other = projects.make("outer")
    target = f"/v2/{project}/secret/manifests/v1"
    registry = registry_of(cluster, project)
    own = curator.hold(f"{project}/secret")
    own.ask("GET", target, (("Accept", MEDIA_MANIFEST),), address=registry, tls=False).must(200)
    foreign = curator.hold(f"{other}/secret")
    foreign.ask("GET", target, address=registry, tls=False).must(401)
    curator.wire.ask("GET", target, address=registry, tls=False).must(401)


@dataclass(frozen=True)
class Inside(Session):
    """A client that reaches a registry past the gateway."""

    address: tuple[str, int] = ("", 0)

    def ask(self, method: str, target: str, headers: Headers = (), body: bytes = b"", **how: Any) -> Answer:
        return super().ask(method, target, headers, body, **{"address": self.address, "tls": False, **how})


@pytest.mark.parametrize("way", ["registry", "gateway"])
def test_no_operation_is_done_with_the_token_of_another_project(
    cluster: Cluster, projects: Projects, project: str, curator: Session, way: str
) -> None:
    """The curator has every right in both projects, so that only the token can be the reason."""
    other, repository = projects.make("replayed"), f"{project}/replayed-{way}"
    # The list belongs to no project; referrers, and what becomes of mounts across projects, are not left to registries.
    left_out = {"list catalog"} if way == "gateway" else {"list catalog", "list referrers", "mount across"}
    operations = [name for name in OPERATIONS if name not in left_out]
    held = curator.hold(repository)
    uploads = {name: location(held.start_upload(repository).must(202)) for name in ("patch upload", "put upload")}
    for content in (EMPTY_CONFIG, LAYER):
        held.upload(repository, content).must(201)
    for tag, manifest in {"v1": first_image(), "tag-x": own_image("tag", "x"), "x": own_image("digest", "x")}.items():
        held.put(repository, tag, manifest).must(201)
    every = "pull,push,delete"
    foreign = curator.hold(f"{other}/replayed", every)
    if way == "registry":
        foreign = Inside(curator.wire, bearer=foreign.bearer, address=registry_of(cluster, project))
    source = f"{project}/secret"
    cells = [Cell(name, "x", foreign, repository, uploads, source, source, f"{other}/any") for name in operations]
    assert {cell.operation: cell.send().status for cell in cells} == dict.fromkeys(operations, 401)
    # The same requests with a token of the project itself are done.
    own = replace(foreign, bearer=curator.token(f"repository:{repository}:{every}", f"repository:{source}:pull"))
    done = {cell.operation: replace(cell, session=own).send().status for cell in cells}
    assert done.keys() == {name for name, status in done.items() if status < 300}, done


def test_a_token_for_two_projects_opens_both_and_only_with_what_was_granted(
    cluster: Cluster, projects: Projects, project: str, curator: Session
) -> None:
    other = projects.make("both")
    token = curator.token(f"repository:{project}/secret:pull", f"repository:{other}/any:pull,push")
    both = Session(curator.wire, bearer=token)
    both.pull(f"{project}/secret", "v1").must(200)
    both.start_upload(f"{other}/any").must(202)
    both.start_upload(f"{project}/secret").must(401)  # allowed, and not granted: the client fetches a new token


@pytest.mark.parametrize(
    ("component", "method", "target"),
    [
        ("access", "GET", "/authz"),
        ("access", "PUT", "/v2/{p}/secret/manifests/v1"),
        ("access", "DELETE", "/v2/{p}/secret/manifests/v1"),
        ("access", "GET", "/v2/_catalog"),
        ("catalog", "POST", "/v1/writes"),
        ("catalog", "GET", "/v1/projects/{p}/repositories"),
    ],
)
@pytest.mark.parametrize("proof", ["none", "nonsense", "another-account"])
def test_only_berths_own_processes_are_served_inside(
    cluster: Cluster, wire: Wire, project: str, component: str, method: str, target: str, proof: str
) -> None:
    found = cluster.get("service", f"berth-{component}", SYSTEM) or {}
    address = (str(found["spec"]["clusterIP"]), 80)
    tokens = {"none": "", "nonsense": "nonsense", "another-account": _token(cluster, f"berth-{component}")}
    header = "Berth-Gateway-Token" if component == "access" else "Authorization"
    shown = tokens[proof] if component == "access" else f"Bearer {tokens[proof]}"
    headers = [
        *([(header, shown)] if proof != "none" else []),
        ("Berth-Original-Method", "GET"),
        ("Berth-Original-URI", "/v2/"),
    ]
    answer = wire.ask(method, target.format(p=project), headers, b"{}", address=address, tls=False)
    assert answer.status == 401, (answer.status, answer.body)
    assert answer.header("berth-upstream") == ""
    assert len(json.loads(answer.body)) == 1


def _token(cluster: Cluster, audience: str) -> str:
    """A valid token of the right audience, and of an account that is none of Berth's."""
    made = cluster.kubectl("create", "token", "default", f"--namespace={SYSTEM}", f"--audience={audience}").must()
    return made.out.strip()


def test_the_gateway_that_calls_the_catalog_is_refused(cluster: Cluster, wire: Wire, project: str) -> None:
    made = cluster.kubectl(
        "create", "token", "berth-gateway", f"--namespace={SYSTEM}", "--audience=berth-catalog"
    ).must()
    found = cluster.get("service", "berth-catalog", SYSTEM) or {}
    headers = [("Authorization", f"Bearer {made.out.strip()}")]
    target = f"/v1/projects/{project}/repositories"
    answer = wire.ask("GET", target, headers, address=(str(found["spec"]["clusterIP"]), 80), tls=False)
    assert answer.status == 401


def test_every_pod_of_berth_is_under_pod_security_restricted(cluster: Cluster, project: str) -> None:
    for namespace in (SYSTEM, f"berth-{project}"):
        found = cluster.get("namespace", namespace) or {}
        assert found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        listed = cluster.kubectl("get", "pods", f"--namespace={namespace}", "--output=json").must()
        for pod in json_items(listed.out):
            assert _loose(pod["spec"]) == [], pod["metadata"]["name"]


def _loose(spec: dict[str, Any]) -> list[str]:
    """Containers that could write their root or gain rights; `restricted` lets a root be written."""
    containers = [*spec["containers"], *spec.get("initContainers", [])]
    return [
        container["name"]
        for container in containers
        if not container["securityContext"].get("readOnlyRootFilesystem")
        or container["securityContext"].get("allowPrivilegeEscalation", True)
    ]
