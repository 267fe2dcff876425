"""Reconcile the installation's keys, in memory."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from berth.api import names
from berth.desired.installation.manifests import GATEWAY_TLS, PUBLIC_CA, SEED, TLS_CA, TOKEN_CA, TOKEN_SIGNING
from berth.kube.errors import UnavailableError
from berth.kube.resources import CONFIG_MAPS, DEPLOYMENTS, PROJECTS, SECRETS
from berth.reconcile.dispatch import Dispatcher, RequeueError
from berth.reconcile.kinds import installation
from berth.reconcile.kinds.installation import RENEWAL_CHECK_SECONDS, ROLLOUT_CHECK_SECONDS
from berth.reconcile.watch.keys import INSTALLATION, project_key
from tests.kit.operator.memory import Operator, Write, invalid, project
from tests.kit.operator.settings import BERTH

SPACE = "berth-alpha"


async def reconcile(operator: Operator) -> float | None:
    operator.api.writes.clear()
    operator.keys.clear()
    return await Dispatcher(operator.context).work(INSTALLATION)


def secret(operator: Operator, name: str) -> dict[str, str]:
    live = operator.live(SECRETS, name, BERTH)
    assert live is not None
    return dict(live["data"])


def request(operator: Operator, name: str, annotation: str, value: str = "now") -> None:
    operator.change(SECRETS, name, BERTH, metadata={"annotations": {annotation: value}})


async def ready(**settings: Any) -> Operator:
    """A Ready project whose registry runs with both token authorities."""
    operator = Operator(**{"authority_overlap": 0, **settings})
    await operator.ready_project()
    return operator


async def test_every_key_is_made_once() -> None:
    operator = Operator()
    assert await reconcile(operator) == RENEWAL_CHECK_SECONDS
    made = {write.name for write in operator.api.writes}
    assert made == {SEED, TOKEN_CA, TOKEN_SIGNING, TLS_CA, GATEWAY_TLS, PUBLIC_CA}
    assert await reconcile(operator) == RENEWAL_CHECK_SECONDS
    assert operator.api.writes == []


async def test_a_provided_certificate_of_the_gateway_is_not_made() -> None:
    operator = Operator(tls_mode="Existing")
    await reconcile(operator)
    assert {write.name for write in operator.api.writes} == {SEED, TOKEN_CA, TOKEN_SIGNING}
    assert operator.live(CONFIG_MAPS, PUBLIC_CA, BERTH) is None


async def test_a_secret_that_the_cache_lacks_is_read_before_it_would_be_replaced() -> None:
    operator = Operator()
    await reconcile(operator)
    before = secret(operator, TOKEN_CA)
    live = operator.api.objects[SECRETS, (BERTH, TOKEN_CA)]
    operator.caches.take("DELETED", live)
    assert operator.caches.live(SECRETS, (BERTH, TOKEN_CA)) is None
    await reconcile(operator)
    assert secret(operator, TOKEN_CA) == before
    assert operator.api.writes == []


async def test_unread_secrets_are_not_replaced() -> None:
    operator = Operator()
    operator.api.refusals["get", "Secret"] = UnavailableError("away")
    with pytest.raises(UnavailableError):
        await reconcile(operator)
    assert operator.api.writes == []


async def test_a_refused_secret_is_tried_again_and_the_others_are_written() -> None:
    operator = Operator()
    operator.api.refusals["apply", "Secret", GATEWAY_TLS] = invalid("no")
    with pytest.raises(RequeueError, match="no"):
        await reconcile(operator)
    assert operator.live(CONFIG_MAPS, PUBLIC_CA, BERTH) is not None


@pytest.mark.parametrize(
    ("name", "enqueued"), [(TOKEN_CA, True), (SEED, True), (TOKEN_SIGNING, False), (GATEWAY_TLS, False)]
)
async def test_projects_are_enqueued_for_the_keys_that_their_registries_have(name: str, enqueued: bool) -> None:
    operator = await ready()
    operator.remove(SECRETS, name, BERTH)
    await reconcile(operator)
    assert Write("apply", "Secret", name) in operator.api.writes
    assert (project_key("alpha") in operator.keys) is enqueued


async def test_a_new_signing_key_is_made_on_request() -> None:
    operator = await ready()
    before = secret(operator, TOKEN_SIGNING)["tls.crt"]
    request(operator, TOKEN_SIGNING, names.ANNOTATION_ROTATE_SIGNING_KEY)
    assert await reconcile(operator) == RENEWAL_CHECK_SECONDS
    assert secret(operator, TOKEN_SIGNING)["tls.crt"] != before


async def test_the_next_authority_signs_on_request_when_every_registry_runs_with_it() -> None:
    operator = await ready()
    successor = secret(operator, TOKEN_CA)["next.crt"]
    request(operator, TOKEN_CA, names.ANNOTATION_ROTATE_AUTHORITY)
    assert await reconcile(operator) == RENEWAL_CHECK_SECONDS
    assert base64.b64decode(secret(operator, TOKEN_CA)["ca.crt"]).startswith(base64.b64decode(successor))


async def test_without_projects_nothing_has_to_be_waited_for() -> None:
    operator = Operator(authority_overlap=0)
    await reconcile(operator)
    request(operator, TOKEN_CA, names.ANNOTATION_ROTATE_AUTHORITY)
    assert await reconcile(operator) == RENEWAL_CHECK_SECONDS


async def test_it_is_known_for_the_overlap_first() -> None:
    operator = await ready(authority_overlap=300)
    request(operator, TOKEN_CA, names.ANNOTATION_ROTATE_AUTHORITY)
    assert await reconcile(operator) == ROLLOUT_CHECK_SECONDS
    operator.pass_time(301)
    assert await reconcile(operator) == RENEWAL_CHECK_SECONDS


@pytest.mark.parametrize(
    "lacking", ["secret", "certificate", "deployment", "authority", "generation", "old pods", "new pods", "project"]
)
async def test_a_registry_that_does_not_run_with_it_is_waited_for(lacking: str) -> None:
    operator = await ready()
    if lacking == "secret":
        operator.remove(SECRETS, "registry", SPACE)
    elif lacking == "certificate":
        operator.change(SECRETS, "registry", SPACE, data={"ca.crt": base64.b64encode(b"another").decode()})
    elif lacking == "deployment":
        operator.remove(DEPLOYMENTS, "registry", SPACE)
    elif lacking == "authority":
        annotations = {"metadata": {"annotations": {"berth.dev/token-authorities": "another"}}}
        live = operator.change(DEPLOYMENTS, "registry", SPACE, spec={"template": annotations})
        operator.change(DEPLOYMENTS, "registry", SPACE, status={"observedGeneration": live["metadata"]["generation"]})
    elif lacking == "generation":
        operator.change(DEPLOYMENTS, "registry", SPACE, status={"observedGeneration": 0})
    elif lacking == "old pods":
        operator.change(DEPLOYMENTS, "registry", SPACE, status={"replicas": 2})
    elif lacking == "new pods":
        operator.change(DEPLOYMENTS, "registry", SPACE, status={"replicas": 1, "updatedReplicas": 0})
    else:
        operator.put(project("beta"))
    request(operator, TOKEN_CA, names.ANNOTATION_ROTATE_AUTHORITY)
    assert await reconcile(operator) == ROLLOUT_CHECK_SECONDS


async def test_former_authorities_are_removed_on_request() -> None:
    operator = await ready()
    request(operator, TOKEN_CA, names.ANNOTATION_ROTATE_AUTHORITY)
    await reconcile(operator)
    bundle = base64.b64decode(secret(operator, TOKEN_CA)["ca.crt"]).count(b"BEGIN")
    request(operator, TOKEN_CA, names.ANNOTATION_FORGET_AUTHORITIES)
    await reconcile(operator)
    assert base64.b64decode(secret(operator, TOKEN_CA)["ca.crt"]).count(b"BEGIN") == bundle - 1
    await operator.reconcile(PROJECTS, "alpha")
    live = operator.live(SECRETS, "registry", SPACE)
    assert live is not None


async def test_what_happened_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    class Log:
        """Notes messages in place of the log of the module."""

        def info(self, message: str) -> None:
            lines.append(message.partition(":")[0])

    monkeypatch.setattr(installation, "_log", Log())
    operator = await ready(authority_overlap=300)
    await reconcile(operator)
    assert lines == []
    request(operator, TOKEN_CA, names.ANNOTATION_ROTATE_AUTHORITY)
    await reconcile(operator)
    await reconcile(operator)
    assert lines == ["token authority rotation pending"]
    operator.pass_time(301)
    await reconcile(operator)
    assert lines[1:] == ["token signing key rotated", "token authority rotated"]
    request(operator, TOKEN_CA, names.ANNOTATION_FORGET_AUTHORITIES)
    await reconcile(operator)
    assert lines[3:] == ["former token authorities removed"]
