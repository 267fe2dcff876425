"""What the apply engine sends, and what it does not."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest

from berth.api.names import ANNOTATION_DESIRED_HASH
from berth.kube.apply import Applier, Change, Reference
from berth.kube.client import KubeClient
from berth.kube.errors import ConflictError, ForbiddenError, InvalidError, KubeError, UnavailableError
from berth.kube.resources import (
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    Manifest,
    ObjectKey,
    Resource,
    key_of,
    resource_of,
)


class Server:
    """A small API server and the cache before it. The cache learns of own writes alone: no event ever comes."""

    def __init__(self) -> None:
        self.stored: dict[tuple[Resource, ObjectKey], Manifest] = {}
        self.cached: dict[tuple[Resource, ObjectKey], Manifest] = {}
        self.sent: list[str] = []
        self.refuse: dict[str, KubeError] = {}
        self.version = 0

    def put(self, manifest: Manifest, *, cached: bool = True, **metadata: Any) -> Manifest:
        """An object that exists already."""
        self.version += 1
        stored = copy.deepcopy(manifest)
        stored["metadata"] |= {"uid": f"u{self.version}", "resourceVersion": str(self.version), **metadata}
        place = (resource_of(manifest), key_of(manifest))
        self.stored[place] = stored
        if cached:
            self.cached[place] = stored
        return stored

    # the client
    async def apply(self, resource: Resource, body: Manifest, **_: Any) -> Manifest:
        self._send(f"apply {body['metadata']['name']}")
        present = self.stored.get((resource, key_of(body)))
        kept = {"uid": present["metadata"]["uid"]} if present else {}
        extra = {k: v for k, v in (present or {}).get("spec", {}).items() if k not in body.get("spec", {})}
        merged = {**body, "spec": {**body.get("spec", {}), **extra}} if extra else body
        return self.put(merged, cached=False, **kept)

    async def merge(self, resource: Resource, key: ObjectKey, patch: Manifest, **_: Any) -> Manifest:
        self._send(f"merge {key[1]}")
        present = self.stored[resource, key]
        assert patch["metadata"]["resourceVersion"] == present["metadata"]["resourceVersion"]
        spec = {k: v for k, v in present["spec"].items() if patch["spec"].get(k, v) is not None}
        return self.put({**present, "spec": spec}, cached=False, uid=present["metadata"]["uid"])

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Manifest | None:
        return self.stored.get((resource, (namespace or "", name)))

    async def delete(self, resource: Resource, name: str, namespace: str | None = None, uid: str = "") -> bool:
        self._send(f"delete {name}")
        assert self.stored.pop((resource, (namespace or "", name)))["metadata"]["uid"] == uid
        return True

    def _send(self, what: str) -> None:
        if what in self.refuse:
            raise self.refuse[what]
        self.sent.append(what)

    # the cache
    def live(self, resource: Resource, key: ObjectKey) -> Manifest | None:
        return self.cached.get((resource, key))

    def observe(self, written: Manifest) -> None:
        self.cached[resource_of(written), key_of(written)] = written

    def forget(self, resource: Resource, key: ObjectKey, uid: str) -> None:
        self.cached.pop((resource, key), None)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def applier(server: Server) -> Applier:
    return Applier(cast(KubeClient, server), server)


def thing(resource: Resource, name: str, **body: Any) -> Manifest:
    metadata = {"name": name, **({"namespace": "berth-a"} if resource.namespaced else {})}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **body}


def policy(name: str = "deny", **spec: Any) -> Manifest:
    body = {"podSelector": {}, "policyTypes": ["Ingress"], **spec}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "berth-a"},
        "spec": body,
    }


async def test_an_object_is_written_once_before_its_event_arrives(server: Server, applier: Applier) -> None:
    assert await applier.apply(policy()) is Change.CREATED
    assert await applier.apply(policy()) is Change.UNCHANGED
    assert server.sent == ["apply deny"]


async def test_a_changed_manifest_is_an_update_and_a_changed_object_a_repair(server: Server, applier: Applier) -> None:
    await applier.apply(policy())
    assert await applier.apply(policy(policyTypes=["Ingress", "Egress"])) is Change.UPDATED
    place = next(iter(server.cached))
    server.cached[place]["spec"]["policyTypes"] = ["Egress"]
    assert await applier.apply(policy(policyTypes=["Ingress", "Egress"])) is Change.REPAIRED


async def test_extra_fields_are_removed_with_one_patch(server: Server, applier: Applier) -> None:
    await applier.apply(policy())
    server.put({**server.cached[next(iter(server.cached))], "spec": {**policy()["spec"], "ingress": [{}]}})
    server.sent.clear()
    assert await applier.apply(policy()) is Change.REPAIRED
    assert server.sent == ["merge deny"]
    assert await applier.apply(policy()) is Change.UNCHANGED


async def test_an_immutable_field_that_differs_means_replacement(server: Server, applier: Applier) -> None:
    wanted = thing(ROLE_BINDINGS, "b", roleRef={"kind": "Role", "name": "good"}, subjects=[])
    server.put({**wanted, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}})
    assert await applier.apply(wanted) is Change.REPLACED
    assert server.sent == ["delete b", "apply b"]


async def test_a_refused_object_does_not_stop_the_others(server: Server, applier: Applier) -> None:
    server.refuse["apply one"] = InvalidError("bad")
    changes = await applier.apply_all([policy("one"), policy("two")])
    assert server.sent == ["apply two"]
    assert [refusal.reference.name for refusal in changes.refusals] == ["one"]
    assert changes.writes == 1


async def test_missing_rights_stop_the_rest_and_an_unavailable_server_raises(server: Server, applier: Applier) -> None:
    server.refuse["apply one"] = ForbiddenError("no")
    changes = await applier.apply_all([policy("one"), policy("two")])
    assert server.sent == []
    assert [refusal.reference.name for refusal in changes.refusals] == ["one"]
    server.refuse["apply one"] = UnavailableError("away")
    with pytest.raises(UnavailableError):
        await applier.apply_all([policy("one")])


def is_made_by_berth(resource: Resource, name: str, **body: Any) -> Manifest:
    made = thing(resource, name, **body)
    made["metadata"]["annotations"] = {ANNOTATION_DESIRED_HASH: "x"}
    return made


async def test_only_what_is_not_desired_is_pruned(server: Server, applier: Applier) -> None:
    kept, gone = is_made_by_berth(ROLES, "kept"), is_made_by_berth(ROLES, "gone")
    candidates = [Reference.of(server.put(role)) for role in (kept, gone)]
    changes = await applier.prune(candidates, [kept])
    assert server.sent == ["delete gone"]
    assert [(reference.name, change) for reference, change in changes.changes] == [("gone", Change.PRUNED)]


@pytest.mark.parametrize("resource", [NAMESPACES, PERSISTENT_VOLUME_CLAIMS, SECRETS])
async def test_objects_with_data_are_never_pruned(server: Server, applier: Applier, resource: Resource) -> None:
    data = server.put(is_made_by_berth(resource, "data"))
    assert (await applier.prune([Reference.of(data)], [])).changes == ()
    assert server.sent == []


async def test_an_object_without_its_label_is_pruned_by_the_inventory(server: Server, applier: Applier) -> None:
    lost = server.put(is_made_by_berth(ROLES, "lost"), cached=False)
    await applier.prune([Reference.of(lost)], [])
    assert server.sent == ["delete lost"]


async def test_an_object_of_another_owner_is_not_pruned(server: Server, applier: Applier) -> None:
    theirs = server.put(thing(ROLES, "theirs"), cached=False)
    await applier.prune([Reference.of(theirs)], [])
    assert server.sent == []


async def test_an_object_in_deletion_is_not_deleted_again(server: Server, applier: Applier) -> None:
    going = server.put(is_made_by_berth(ROLES, "going"), deletionTimestamp="2026-01-01T00:00:00Z")
    await applier.prune([Reference.of(going)], [])
    assert server.sent == []


async def test_a_successor_of_a_candidate_is_not_pruned(server: Server, applier: Applier) -> None:
    old = server.put(is_made_by_berth(ROLES, "old"))
    server.refuse["delete old"] = ConflictError("another uid")
    changes = await applier.prune([Reference.of(old)], [])
    assert [refusal.reference.name for refusal in changes.refusals] == ["old"]


def test_a_reference_survives_the_inventory() -> None:
    for manifest in (policy(), thing(NAMESPACES, "n"), thing(SECRETS, "s")):
        reference = Reference.of(manifest)
        assert Reference.from_entry(reference.entry()) == reference
    foreign = Reference.of(policy()).entry().model_copy(update={"kind": "Unknown"})
    assert Reference.from_entry(foreign) is None
