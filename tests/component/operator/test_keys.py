"""Keys rotate when somebody asks: one write for a leaf, no registry restarts twice for an authority."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from cryptography import x509

from berth.api import names
from berth.kube.client import KubeClient
from berth.kube.resources import DEPLOYMENTS, PROJECTS, SECRETS, Manifest
from tests.component.controlplane import ControlPlane, running
from tests.component.operator.harness import BERTH, Cluster, RunningOperator, install, running_operator

CA, SIGNING = "berth-token-ca", "berth-token-signing"


@pytest.fixture(scope="module")
def own_plane(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A control plane of its own: every project of it has to learn of a new authority."""
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
        (authority,) = certificates(live, "ca.crt")
        leaf.verify_directly_issued_by(authority)
        seen.add(leaf.serial_number)
    await operator.idle()
    assert len(seen) == 21
    assert Counter(each.name for each in cluster.plane.writes(cluster.user, mark)) == {SIGNING: 20}


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


async def test_a_new_authority_signs_only_when_every_registry_trusts_it_and_no_registry_restarts_again(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await cluster.ready_project(unique)
    namespace = names.project_namespace(unique)
    before = await cluster.get(SECRETS, CA, BERTH)
    (old,) = certificates(before, "ca.crt")
    generation = (await cluster.get(DEPLOYMENTS, "registry", namespace))["metadata"]["generation"]
    await operator.idle()
    mark = cluster.plane.audit_position()
    await ask(cluster, CA, names.ANNOTATION_ROTATE_AUTHORITY, "now")
    announced = await cluster.until(SECRETS, CA, lambda live: len(certificates(live, "ca.crt")) == 2, BERTH)
    successor = next(each for each in certificates(announced, "ca.crt") if each != old)
    secret = await cluster.until(SECRETS, "registry", lambda live: len(certificates(live, "ca.crt")) == 2, namespace)
    assert set(certificates(secret, "ca.crt")) == {old, successor}
    await operator.idle()
    signing: Manifest | None = await cluster.get(SECRETS, SIGNING, BERTH)
    certificates(signing, "tls.crt")[0].verify_directly_issued_by(old)
    await rolled_out(cluster, unique, generation)
    signing = await cluster.until(
        SECRETS,
        SIGNING,
        lambda live: (
            certificates(live, "tls.crt")[0].issuer == successor.subject
            and set(certificates(live, "ca.crt")) == {old, successor}
            and certificates(live, "tls.crt") != certificates(before, "tls.crt")
            and certificates(live, "tls.crt") != certificates(signing, "tls.crt")
        ),
        BERTH,
    )
    certificates(signing, "tls.crt")[0].verify_directly_issued_by(successor)
    await cluster.condition(PROJECTS, unique, Ready="True")
    await operator.idle()
    assert (await cluster.get(DEPLOYMENTS, "registry", namespace))["metadata"]["generation"] == generation + 1
    writes = Counter(each.name for each in cluster.plane.writes(cluster.user, mark) if not each.subresource)
    assert writes == {CA: 2, SIGNING: 2, "registry": 2}
    assert "PRIVATE" not in json.dumps(await cluster.admin.list(PROJECTS))
