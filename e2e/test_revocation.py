"""Once an object's status says that a change is in force, the gateway forwards no request that it forbids,
with any earlier registry token, and with two replicas of access.

Each case holds a registry token, sends requests with it from several threads without a pause, changes one object, waits
for the status that says so, and counts what was sent after that and let through.
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from berth.api.names import repository_object_name
from berth.authz.model import CredentialKind, Identity
from berth.authz.token_format import make_token, token_sha256
from berth.services.access.tokens.claims import claims_of
from berth.services.access.tokens.registry_tokens import TokenService
from e2e.suite.clients.stage import json_items
from e2e.suite.crowd import Projects
from e2e.suite.http import NoAnswer, Session, Wire
from e2e.suite.world import SYSTEM, Cluster, Person, certification, eventually, new_person, now

THREADS = 4
AFTER = 25  # requests of each thread after the status
LASTS_SECONDS = 4  # of what ends by itself
PASSES = (200, 202)
API = "berth.dev/v1alpha1"
SUFFIX = secrets.token_hex(3)
GROUP = f"idp:readers-{SUFFIX}"
TEAM = f"revoked-{SUFFIX}"
SHARED, LOCAL = "shelf", "nook"


@dataclass
class Traffic:
    """Requests of several threads with one token. Times are monotonic seconds."""

    session: Session
    repository: str
    push: bool = False
    sent: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def _go_on(self) -> None:
        while not self._stop.is_set():
            at = time.monotonic()
            try:
                send = self.session.start_upload if self.push else self._pull
                self.sent.append((at, send(self.repository).status))
            except NoAnswer:
                self.sent.append((at, 0))

    def _pull(self, repository: str) -> Any:
        return self.session.pull(repository, "v1")

    def since(self, moment: float) -> list[int]:
        """Statuses of the answers to what was sent from then on."""
        return [status for at, status in list(self.sent) if at >= moment]

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def let_through_after(
    change: Callable[[], object],
    in_force: Callable[[], object],
    session: Session,
    repository: str,
    *,
    push: bool = False,
) -> list[int]:
    """The requests that were let through after `in_force` came true, which `change` brings about."""
    traffic = Traffic(session, repository, push)
    try:
        eventually(lambda: len(traffic.sent) >= THREADS * 3, "requests are on their way", every=0.01)
        assert {status for _, status in traffic.sent} <= set(PASSES), traffic.sent
        change()
        eventually(in_force, "the status says that the change is in force", 60, every=0.01)
        enforced = time.monotonic()
        eventually(lambda: len(traffic.since(enforced)) >= THREADS * AFTER, "enough was sent afterwards", every=0.05)
    finally:
        traffic.end()
    after = traffic.since(enforced)
    passed = [status for status in after if status not in (401, 403)]
    print(
        f"{len(traffic.sent) - len(after)} requests until the status said so, {len(after)} after, {passed} let through"
    )
    return passed


def says(
    cluster: Cluster, kind: str, name: str, type_: str, status: str, reason: str = "", namespace: str | None = None
) -> bool:
    """Whether a condition has this status, for the object's present generation."""
    found = cluster.get(kind, name, namespace) or {}
    generation = found["metadata"]["generation"]
    conditions = [c for c in found.get("status", {}).get("conditions", []) if c["type"] == type_]
    return any(
        c["status"] == status and c["observedGeneration"] == generation and reason in ("", c["reason"])
        for c in conditions
    )


@dataclass(frozen=True)
class Scene:
    """One project, and for each case a user with a right that is taken away."""

    cluster: Cluster
    wire: Wire
    project: str
    people: Mapping[str, Person]
    sharing: Sequence[Mapping[str, str]]

    @property
    def shelf(self) -> str:
        return f"{self.project}/{SHARED}"

    @property
    def nook(self) -> str:
        return f"{self.project}/{LOCAL}"

    def hold(self, who: str, repository: str, *, push: bool = False) -> Session:
        """A session of a user with a registry token, once the right is in force."""
        session, actions = Session(self.wire, self.people[who]), "pull,push" if push else "pull"

        def may() -> Session | None:
            held = session.hold(repository, actions)
            answer = held.start_upload(repository) if push else held.pull(repository, "v1")
            return held if answer.status in PASSES else None

        found: Session = eventually(may, f"{who} may use {repository}")
        return found

    def share(self, *without: str) -> None:
        """The project's sharing, but for some subjects."""
        kept = [dict(entry) for entry in self.sharing if entry["name"] not in without]
        self.cluster.patch("project", self.project, {"spec": {"sharing": kept}}).must()

    def share_locally(self, sharing: Sequence[Mapping[str, str]] | None) -> None:
        change = {"spec": {"localSharing": None if sharing is None else [dict(entry) for entry in sharing]}}
        where = f"berth-{self.project}"
        self.cluster.patch("dockerrepository", repository_object_name(LOCAL), change, where).must()

    def project_says(self) -> bool:
        return says(self.cluster, "project", self.project, "AccessReady", "True")

    def nook_says(self) -> bool:
        where = f"berth-{self.project}"
        return says(self.cluster, "dockerrepository", repository_object_name(LOCAL), "Ready", "True", namespace=where)


WHO = ("member", "mate", "withdrawn", "lapsing", "leaver", "outlocal", "inlocal", "owner")


@pytest.fixture(scope="module")
def scene(
    cluster: Cluster, wire: Wire, projects: Projects, curator: Session, tmp_path_factory: pytest.TempPathFactory
) -> Scene:
    home = tmp_path_factory.mktemp("revocation")
    people = {who: new_person(home / who, f"{who}-{SUFFIX}") for who in WHO}
    made = [thing for who, person in people.items() for thing in person.objects(certified=who == "withdrawn")]
    mates = [{"kind": "User", "name": people["mate"].name}]
    cluster.apply(
        *made, {"apiVersion": API, "kind": "RegistryTeam", "metadata": {"name": TEAM}, "spec": {"members": mates}}
    )
    levels = {
        "member": "Download",
        "withdrawn": "Edit",
        "lapsing": "Edit",
        "leaver": "Download",
        "outlocal": "Download",
    }
    sharing = [
        *projects.crowd.sharing,
        *({"kind": "User", "name": people[who].name, "level": level} for who, level in levels.items()),
        {"kind": "User", "name": people["owner"].name, "level": "Download"},
        {"kind": "Team", "name": TEAM, "level": "Download"},
        {"kind": "Group", "name": GROUP, "level": "Download"},
    ]
    project = projects.make("revoked", sharing=sharing)
    for repository in (SHARED, LOCAL):
        curator.push(f"{project}/{repository}", "v1", b"layer").must(201)
    pods = json_items(
        cluster.kubectl("get", "pods", f"-n{SYSTEM}", "-lapp.kubernetes.io/component=access", "-ojson").must().out
    )
    assert len(pods) >= 2, "one replica of access would prove little"
    return Scene(cluster, wire, project, people, sharing)


def test_a_member_who_is_taken_out_of_a_projects_sharing(scene: Scene) -> None:
    held = scene.hold("member", scene.shelf)
    assert (
        let_through_after(lambda: scene.share(scene.people["member"].name), scene.project_says, held, scene.shelf) == []
    )


def test_a_rule_for_a_group_that_is_taken_away(scene: Scene, tmp_path: Path) -> None:
    held = Session(scene.wire, None, token_of_a_group(scene.cluster, scene.shelf, tmp_path))
    held.pull(scene.shelf, "v1").must(200)
    assert let_through_after(lambda: scene.share(GROUP), scene.project_says, held, scene.shelf) == []


def token_of_a_group(cluster: Cluster, repository: str, folder: Path) -> str:
    """A registry token as access signs it for a user of the identity provider in the group."""
    secret = (cluster.get("secret", "berth-token-signing", SYSTEM) or {})["data"]
    for name, content in secret.items():
        (folder / name).write_bytes(base64.b64decode(content))
    signer = TokenService(directory=folder, lifetime=300, clock=time.time, token_id=lambda: secrets.token_hex(8))
    member = Identity(CredentialKind.OIDC, name=f"idp:member-{SUFFIX}", groups=frozenset({GROUP}))
    grant = {"type": "repository", "name": repository, "actions": ["pull"]}
    claims = claims_of(member, {repository: ["pull"]}, [grant], [repository.partition("/")[0]])
    token, _issued = signer.sign(claims)
    return token


def test_a_member_who_is_taken_out_of_a_team(scene: Scene) -> None:
    held = scene.hold("mate", scene.shelf)
    assert (
        let_through_after(
            lambda: scene.cluster.patch("registryteam", TEAM, {"spec": {"members": []}}).must(),
            lambda: says(scene.cluster, "registryteam", TEAM, "Ready", "True"),
            held,
            scene.shelf,
        )
        == []
    )


def test_a_certification_that_is_withdrawn(scene: Scene) -> None:
    held, name = scene.hold("withdrawn", scene.shelf, push=True), scene.people["withdrawn"].name
    assert (
        let_through_after(
            lambda: scene.cluster.kubectl("delete", "certification", f"{name}-certified").must(),
            lambda: says(scene.cluster, "registryuser", name, "Certified", "False"),
            held,
            scene.shelf,
            push=True,
        )
        == []
    )
    held.pull(scene.shelf, "v1").must(200)


def test_a_certification_that_ends_at_its_second(scene: Scene) -> None:
    name = scene.people["lapsing"].name
    scene.cluster.apply(certification(name, now() + timedelta(seconds=LASTS_SECONDS)))
    held = scene.hold("lapsing", scene.shelf, push=True)
    assert (
        let_through_after(
            lambda: None,
            lambda: says(scene.cluster, "registryuser", name, "Certified", "False", "CertificationExpired"),
            held,
            scene.shelf,
            push=True,
        )
        == []
    )


def access_token(name: str, owner: Person, secret: str, **spec: Any) -> dict[str, Any]:
    wanted = {"owner": {"kind": "User", "name": owner.name}, "scopes": ["download"], "sha256": token_sha256(secret)}
    return {"apiVersion": API, "kind": "AccessToken", "metadata": {"name": name}, "spec": {**wanted, **spec}}


def with_token(scene: Scene, name: str, **spec: Any) -> Session:
    """A session with a registry token that was got with an access token of that name."""
    secret = make_token(secrets.token_bytes(32))
    scene.cluster.apply(access_token(name, scene.people["owner"], secret, **spec))
    session = Session(scene.wire, Person("any-name", secret, scene.cluster.state))
    eventually(lambda: session.pull(scene.shelf, "v1").must(200), "the access token is known")
    return session.hold(scene.shelf, "pull")


def test_an_access_token_that_is_deleted(scene: Scene) -> None:
    """A deleted object has no status; whatever changes after it in another of its kind is confirmed after it."""
    name, other = f"deleted-{SUFFIX}", f"other-{SUFFIX}"
    held = with_token(scene, name)
    marker = access_token(other, scene.people["owner"], make_token(secrets.token_bytes(32)))
    scene.cluster.apply(marker)

    def change() -> None:
        scene.cluster.kubectl("delete", "accesstoken", name).must()
        scene.cluster.patch("accesstoken", other, {"spec": {"scopes": ["view"]}}).must()

    assert (
        let_through_after(change, lambda: says(scene.cluster, "accesstoken", other, "Ready", "True"), held, scene.shelf)
        == []
    )


def test_an_access_token_that_ends_at_its_second(scene: Scene) -> None:
    name = f"ending-{SUFFIX}"
    until = (now() + timedelta(seconds=LASTS_SECONDS)).strftime("%Y-%m-%dT%H:%M:%SZ")
    held = with_token(scene, name, expiresAt=until)

    def in_force() -> bool:
        conditions = (scene.cluster.get("accesstoken", name) or {}).get("status", {}).get("conditions", [])
        return any(found["reason"] == "TokenExpired" for found in conditions)

    assert let_through_after(lambda: None, in_force, held, scene.shelf) == []


def test_a_user_who_is_disabled(scene: Scene) -> None:
    held, name = scene.hold("leaver", scene.shelf), scene.people["leaver"].name
    assert (
        let_through_after(
            lambda: scene.cluster.patch("registryuser", name, {"spec": {"disabled": True}}).must(),
            lambda: says(scene.cluster, "registryuser", name, "Ready", "True", "Disabled"),
            held,
            scene.shelf,
        )
        == []
    )


def test_no_status_says_so_while_one_replica_of_access_does_not_answer(scene: Scene) -> None:
    team, cluster = f"frozen-{SUFFIX}", scene.cluster
    cluster.apply({"apiVersion": API, "kind": "RegistryTeam", "metadata": {"name": team}, "spec": {"members": []}})
    eventually(lambda: says(cluster, "registryteam", team, "Ready", "True"), "the team is Ready")
    frozen = cluster.run("pgrep", "--newest", "--full", "berth access$").must().out.strip()
    cluster.run("kill", "-STOP", frozen).must()
    try:
        cluster.patch("registryteam", team, {"spec": {"displayName": "Changed"}}).must()
        eventually(
            lambda: says(cluster, "registryteam", team, "Ready", "False", "PolicyPending"), "it says what it waits for"
        )
        assert cluster.condition("registryteam", team, "Ready")["message"].endswith(
            " of the access service does not answer."
        )
    finally:
        cluster.run("kill", "-CONT", frozen).must()
    eventually(lambda: says(cluster, "registryteam", team, "Ready", "True"), "every replica knows it")


def test_local_sharing_that_excludes_a_user_and_its_removal_that_excludes_those_it_let_in(scene: Scene) -> None:
    held = scene.hold("outlocal", scene.nook)
    local = [{"kind": "User", "name": scene.people["inlocal"].name, "level": "Download"}]
    assert let_through_after(lambda: scene.share_locally(local), scene.nook_says, held, scene.nook) == []
    held = scene.hold("inlocal", scene.nook)
    assert let_through_after(lambda: scene.share_locally(None), scene.nook_says, held, scene.nook) == []
