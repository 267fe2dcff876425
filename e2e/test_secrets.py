"""Secrets stay secret: after two hundred operations with all sorts of them, none is in any place that people read."""

from __future__ import annotations

import base64
import itertools
import json
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from e2e.suite.clients.stage import json_items
from e2e.suite.crowd import Crowd, Projects
from e2e.suite.http import Answer, Session, Wire
from e2e.suite.tokens import access_token, new_secret
from e2e.suite.world import HOST, SYSTEM, Cluster, Person, eventually

ROUNDS = 25
FORM = (("Content-Type", "application/x-www-form-urlencoded"),)


@pytest.fixture(scope="module")
def project(projects: Projects, curator: Session) -> str:
    name = projects.make("discreet")
    curator.push(f"{name}/shelf", "v1", b"shelf").must(201)
    return name


class Operations:
    """Logins, pulls and pushes that carry secrets, which are in `used`."""

    def __init__(self, wire: Wire, project: str, crowd: Crowd, robots: Sequence[Person]) -> None:
        self.wire, self.project, self.crowd, self.robots = wire, project, crowd, robots
        self.used = {crowd.curator.password, crowd.viewer.password, *(robot.password for robot in robots)}
        self.answers: list[Answer] = []

    @property
    def refusals(self) -> str:
        """Headers and bodies of the refusals."""
        return "\n".join(f"{answer.headers}{answer.body!r}" for answer in self.answers if answer.status >= 400)

    def all(self) -> None:
        """Each kind again and again, with guesses of its own each time; several at a time, because a guess waits."""
        people = itertools.cycle((self.crowd.curator, self.crowd.viewer, *self.robots))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._round, range(ROUNDS), people))

    def _round(self, number: int, person: Person) -> None:
        guess = f"guess-{secrets.token_urlsafe(12)}"
        self.used.add(guess)
        self._rightly(Session(self.wire, person))
        # A real name once each: more would be too many tries.
        self._wrongly(person if number < 4 else replace(person, name=f"unknown-{guess[-4:]}"), guess)

    def _rightly(self, session: Session) -> None:
        repository = f"{self.project}/shelf"
        held = session.hold(repository)
        self.used.add(held.bearer.rpartition(".")[2])
        self.answers += held.pull(repository, "v1"), held.start_upload(repository), held.pull("absent/shelf", "v1")

    def _wrongly(self, person: Person, guess: str) -> None:
        scope = f"/token?service={HOST}&scope=repository:{self.project}/shelf:pull"
        swapped = Session(self.wire, Person(person.password, guess, person.home))
        form = f"grant_type=password&username={person.name}&password={guess}&service={HOST}".encode()
        self.answers += (
            Session(self.wire, replace(person, name=f"unknown-{guess[:9]}", password=guess)).token_answer(),
            swapped.token_answer(),
            self.wire.ask("POST", "/token", FORM, form),
            self.wire.ask("GET", scope, (("Authorization", f"Bearer {guess}"),)),
        )


@pytest.fixture(scope="module")
def robots(cluster: Cluster, crowd: Crowd, wire: Wire) -> Iterator[Sequence[Person]]:
    """Who logs in with an access token, and with the token of a ServiceAccount."""
    name, secret = f"discreet-{secrets.token_hex(3)}", new_secret()
    cluster.apply(access_token(name, crowd.curator, secret, ("view", "download", "modify")))
    pod = cluster.kubectl("create", "token", "default", "--namespace=default", f"--audience={HOST}").must().out.strip()
    by_token = Person("any-name", secret, crowd.curator.home)
    eventually(lambda: Session(wire, by_token).token_answer().status == 200, "the token logs in")
    yield by_token, Person("any-name", pod, crowd.curator.home)
    cluster.kubectl("delete", "accesstoken", name, "--ignore-not-found").must()


def keys(cluster: Cluster, project: str) -> Iterator[str]:
    """What Berth's own Secrets hold of keys: a piece from the middle of each, without the lines of a PEM file."""
    for namespace in (SYSTEM, f"berth-{project}"):
        listed = cluster.kubectl("get", "secrets", f"--namespace={namespace}", "--output=json").must()
        for entry in json_items(listed.out):
            for name, value in (entry.get("data") or {}).items():
                content = base64.b64decode(value)
                if b"PRIVATE KEY" in content:
                    yield content.decode().splitlines()[1]
                elif name in ("seed", "passwordHash"):
                    yield from (content.decode("latin-1"), value)
                elif b"secret:" in content:
                    yield content.decode().partition("secret:")[2].split()[0].strip("\"'")


def sinks(cluster: Cluster, project: str) -> Iterator[tuple[str, str]]:
    """Everywhere that people and programs look, by name."""
    for namespace in (SYSTEM, f"berth-{project}"):
        pods = json_items(cluster.kubectl("get", "pods", f"--namespace={namespace}", "--output=json").must().out)
        for pod in pods:
            name, where = pod["metadata"]["name"], f"--namespace={namespace}"
            yield f"log of {name}", cluster.kubectl("logs", name, where, "--all-containers", "--tail=-1").must().out
            yield from metrics(cluster, namespace, pod)
    kinds = cluster.kubectl("api-resources", "--verbs=list", "--output=name").must().out.split()
    shown = [kind for kind in kinds if kind not in ("secrets", "componentstatuses") and "metrics.k8s.io" not in kind]
    listed = cluster.kubectl("get", ",".join(shown), "--all-namespaces", "--output=json", "--show-managed-fields")
    yield "objects, their statuses, and events", listed.must().out
    held = json_items(cluster.kubectl("get", "secrets", "--all-namespaces", "--output=json").must().out)
    for entry in held:  # what `kubectl apply` of the tests themselves wrote there
        (entry["metadata"].get("annotations") or {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
    yield "metadata of Secrets", json.dumps([entry["metadata"] for entry in held])
    for what in ("cmdline", "environ"):
        yield f"{what} of processes", cluster.run("sh", "-c", f"cat /proc/[0-9]*/{what} | tr '\\0' ' '").out


def metrics(cluster: Cluster, namespace: str, pod: dict[str, Any]) -> Iterator[tuple[str, str]]:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports", ())]
    for port in (port["containerPort"] for port in ports if port.get("name") == "metrics"):
        path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}:{port}/proxy/metrics"
        yield f"metrics of {pod['metadata']['name']}", cluster.kubectl("get", f"--raw={path}").must().out


def test_after_two_hundred_operations_no_secret_is_in_any_place_that_people_read(
    cluster: Cluster, project: str, crowd: Crowd, wire: Wire, robots: Sequence[Person]
) -> None:
    operations = Operations(wire, project, crowd, robots)
    operations.all()
    assert len(operations.answers) == ROUNDS * 7  # and a token each time
    wanted = operations.used | {piece for piece in keys(cluster, project) if len(piece) > 10}
    looked_at = {**dict(sinks(cluster, project)), "refusals": operations.refusals}
    logs = "".join(text for name, text in looked_at.items() if name.startswith("log of berth-access"))
    assert crowd.curator.name in logs, "the places are really read"
    assert any(name.startswith("metrics of berth-access") for name in looked_at)
    found = {name: [secret[:6] for secret in wanted if secret in text] for name, text in looked_at.items()}
    assert {name: pieces for name, pieces in found.items() if pieces} == {}
    print(f"{ROUNDS * 8} operations, {len(wanted)} secrets, {len(looked_at)} places")
