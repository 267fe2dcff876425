"""Rotation of keys on request: one write for a leaf, and no restart of a registry for a standby authority."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from berth.api import names
from berth.kube.client import KubeClient
from berth.kube.resources import DEPLOYMENTS, PROJECTS, SECRETS, Manifest
from tests.kit.control_plane import ControlPlane, running
from tests.kit.operator.harness import Cluster, RunningOperator, install, running_operator
from tests.kit.operator.settings import BERTH

CA, SIGNING = "berth-token-ca", "berth-token-signing"


@pytest.fixture
def own_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane for each test: every project of it has to run with a new authority."""
    with running(tmp_path_factory.mktemp("keys")) as plane:
        yield plane


@pytest.fixture
async def cluster(own_plane: ControlPlane) -> AsyncIterator[Cluster]:
    kubeconfig = install(own_plane)
    async with KubeClient.connect(own_plane.kubeconfig) as admin:
        yield Cluster(own_plane, admin, kubeconfig)


@pytest.fixture
async def operator(cluster: Cluster) -> AsyncIterator[RunningOperator]:
    async with running_operator(cluster, authority_overlap=0) as found:
        yield found


def certificates(secret: Manifest | None, key: str) -> list[x509.Certificate]:
    data = ((secret or {}).get("data") or {}).get(key)
    return x509.load_pem_x509_certificates(base64.b64decode(data)) if data else []


async def ask(cluster: Cluster, secret: str, annotation: str, value: str) -> None:
    note = {"metadata": {"annotations": {annotation: value}}}
    await cluster.admin.merge(SECRETS, (BERTH, secret), note, field_manager="owner")


async def test_twenty_requests_give_twenty_keys_at_one_write_each(cluster: Cluster, operator: RunningOperator) -> None:
    first = await cluster.until(SECRETS, SIGNING, lambda live: live is not None, BERTH)
    await operator.idle()
    mark = cluster.plane.audit_position()
    seen = {certificates(first, "tls.crt")[0].serial_number}
    for number in range(20):
        await ask(cluster, SIGNING, names.ANNOTATION_ROTATE_SIGNING_KEY, str(number))
        live = await cluster.until(
            SECRETS, SIGNING, lambda live: certificates(live, "tls.crt")[0].serial_number not in seen, BERTH
        )
        (leaf,) = certificates(live, "tls.crt")
        leaf.verify_directly_issued_by(certificates(live, "ca.crt")[0])
        seen.add(leaf.serial_number)
    await operator.idle()
    assert len(seen) == 21
    assert Counter(each.name for each in cluster.plane.writes(cluster.user, mark)) == {SIGNING: 20}


@dataclass(frozen=True)
class Keys:
    """What the cluster holds of the token authorities, and what one project's registry was given of them."""

    signs: x509.Certificate
    standby: x509.Certificate
    trusted: set[x509.Certificate]  # by replicas of access
    given: set[x509.Certificate]  # in the registry's Secret
    generation: int  # of the registry's Deployment
    read_start_state: set[str]  # fingerprints

    @classmethod
    async def read(cls, cluster: Cluster, project: str) -> Keys:
        namespace = names.project_namespace(project)
        authority, signing = await cluster.get(SECRETS, CA, BERTH), await cluster.get(SECRETS, SIGNING, BERTH)
        deployment = await cluster.get(DEPLOYMENTS, "registry", namespace)
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        signs, (standby,) = certificates(authority, "ca.crt")[0], certificates(authority, "next.crt")
        certificates(signing, "tls.crt")[0].verify_directly_issued_by(signs)
        return cls(
            signs=signs,
            standby=standby,
            trusted=set(certificates(signing, "ca.crt")),
            given=set(certificates(await cluster.get(SECRETS, "registry", namespace), "ca.crt")),
            generation=deployment["metadata"]["generation"],
            read_start_state=set(annotations["berth.dev/token-authorities"].split(",")),
        )


def fingerprints(*authorities: x509.Certificate) -> set[str]:
    return {authority.fingerprint(hashes.SHA256()).hex()[:32] for authority in authorities}


async def rotate(cluster: Cluster, value: str) -> None:
    """Ask for a new authority, and wait until it is said to sign."""
    await ask(cluster, CA, names.ANNOTATION_ROTATE_AUTHORITY, value)
    await signs(cluster, value)


async def signs(cluster: Cluster, value: str) -> None:
    """Wait until the authority that was requested with this value signs."""
    await cluster.until(SECRETS, CA, lambda live: noted(live, names.ANNOTATION_ROTATE_AUTHORITY) == value, BERTH)


def noted(secret: Manifest | None, annotation: str) -> str | None:
    """The value of a request that was honoured."""
    return ((secret or {}).get("metadata", {}).get("annotations") or {}).get(f"{annotation}-done")


def written(cluster: Cluster, mark: int) -> Counter[tuple[str, str]]:
    """What the operator wrote since then, statuses left out."""
    return Counter((w.resource, w.name) for w in cluster.plane.writes(cluster.user, mark) if not w.subresource)


async def rolled_out(cluster: Cluster, project: str, generation: int) -> None:
    """Wait until the registry's Deployment changed, then do what its controller does."""
    namespace = names.project_namespace(project)
    live = await cluster.until(
        DEPLOYMENTS,
        "registry",
        lambda live: live is not None and live["metadata"]["generation"] > generation,
        namespace,
    )
    assert live is not None
    cluster.deployment_status(project, live["metadata"]["generation"], 1)


async def test_a_new_authority_signs_at_once_and_no_registry_restarts_because_it_stood_by(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    await operator.idle()
    before, mark = await Keys.read(cluster, unique), cluster.plane.audit_position()
    assert before.given == before.trusted == {before.signs, before.standby}
    assert before.read_start_state == fingerprints(before.signs, before.standby)
    await rotate(cluster, "now")
    await operator.idle()
    after = await Keys.read(cluster, unique)
    assert after.signs == before.standby
    assert after.given == after.trusted == {before.signs, before.standby, after.standby}
    assert (after.generation, after.read_start_state) == (before.generation, before.read_start_state)
    assert written(cluster, mark) == {("secrets", CA): 1, ("secrets", SIGNING): 1, ("secrets", "registry"): 1}
    await cluster.condition(PROJECTS, unique, Ready="True")
    assert "PRIVATE" not in json.dumps(await cluster.admin.list(PROJECTS))


async def test_a_second_authority_in_a_row_signs_only_when_every_registry_was_started_with_it(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    await rotate(cluster, "first")
    await operator.idle()
    before, mark = await Keys.read(cluster, unique), cluster.plane.audit_position()
    await ask(cluster, CA, names.ANNOTATION_ROTATE_AUTHORITY, "second")
    namespace = names.project_namespace(unique)
    await cluster.until(
        DEPLOYMENTS,
        "registry",
        lambda live: live is not None and live["metadata"]["generation"] > before.generation,
        namespace,
    )
    await operator.idle()
    announced = await Keys.read(cluster, unique)
    assert announced.signs == before.signs
    assert announced.read_start_state == fingerprints(*before.given)
    assert noted(await cluster.get(SECRETS, CA, BERTH), names.ANNOTATION_ROTATE_AUTHORITY) == "first"
    await rolled_out(cluster, unique, before.generation)
    await signs(cluster, "second")
    await operator.idle()
    after = await Keys.read(cluster, unique)
    assert after.signs == before.standby
    assert after.generation == before.generation + 1
    assert written(cluster, mark) == {
        ("secrets", CA): 2,
        ("secrets", SIGNING): 1,
        ("secrets", "registry"): 1,
        ("deployments", "registry"): 1,
    }


async def test_former_authorities_that_are_forgotten_restart_each_registry_once_without_them(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    await rotate(cluster, "now")
    await operator.idle()
    before, mark = await Keys.read(cluster, unique), cluster.plane.audit_position()
    await ask(cluster, CA, names.ANNOTATION_FORGET_AUTHORITIES, "now")
    await rolled_out(cluster, unique, before.generation)
    await operator.idle()
    after = await Keys.read(cluster, unique)
    assert after.given == after.trusted == {before.signs, before.standby}
    assert after.read_start_state == fingerprints(before.signs, before.standby)
    assert after.generation == before.generation + 1
    assert set(written(cluster, mark).values()) == {1}


async def test_an_installation_of_an_earlier_version_restarts_each_registry_once_and_then_for_no_new_authority(
    cluster: Cluster, unique: str
) -> None:
    projects = [f"{unique}-{number}" for number in range(5)]
    async with running_operator(cluster, authority_overlap=0) as first:
        for project in projects:
            await cluster.ready_project(project)
        await first.idle()
    for project in projects:
        await as_before_successors_stood_by(cluster, project)
    before = [await cluster.get(DEPLOYMENTS, "registry", names.project_namespace(project)) for project in projects]
    async with running_operator(cluster, authority_overlap=0) as second:
        for project, live in zip(projects, before, strict=True):
            await rolled_out(cluster, project, live["metadata"]["generation"])
        await second.idle()
        await rotate(cluster, "now")
        await second.idle()
        for project, live in zip(projects, before, strict=True):
            after = await Keys.read(cluster, project)
            assert after.generation == live["metadata"]["generation"] + 1
            assert after.read_start_state >= fingerprints(after.signs)


async def as_before_successors_stood_by(cluster: Cluster, project: str) -> None:
    """Makes everything look as the version before wrote it."""
    namespace = names.project_namespace(project)
    bundle = (await cluster.get(SECRETS, CA, BERTH))["data"]["ca.crt"]
    first = certificates({"data": {"ca.crt": bundle}}, "ca.crt")[0]
    alone = base64.b64encode(first.public_bytes(Encoding.PEM)).decode()
    data: dict[str, str | None] = {"ca.crt": alone}
    for where in ((namespace, "registry"), (BERTH, SIGNING)):
        await cluster.admin.merge(SECRETS, where, {"data": data}, field_manager="earlier")
    nothing = {"next.crt": None, "next.key": None}
    await cluster.admin.merge(SECRETS, (BERTH, CA), {"data": {**data, **nothing}}, field_manager="earlier")
    annotations = {
        "berth.dev/config-hash": "5e" * 16,
        "berth.dev/start-hash": None,
        "berth.dev/token-authorities": None,
    }
    patch = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    await cluster.admin.merge(DEPLOYMENTS, (namespace, "registry"), patch, field_manager="earlier")


async def test_a_certificate_that_cannot_be_written_keeps_no_project_from_its_registry(
    cluster: Cluster, unique: str
) -> None:
    """The Secret of the gateway's certificate is immutable, so that every reconcile of the keys fails."""
    tls = {"tls.crt": base64.b64encode(b"none").decode(), "tls.key": base64.b64encode(b"none").decode()}
    metadata = {"name": "berth-gateway-tls", "namespace": BERTH}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls"}
    await cluster.admin.apply(SECRETS, {**secret, "data": tls, "immutable": True}, field_manager="owner")
    async with running_operator(cluster):
        await cluster.ready_project(unique)
        await Keys.read(cluster, unique)
