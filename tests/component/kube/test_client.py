"""The client against a real API server."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest

from berth.kube import client as client_module
from berth.kube import client_config
from berth.kube.client import KubeClient
from berth.kube.errors import ConflictError, ForbiddenError, InvalidError, KubeError, NotFoundError, UnavailableError
from berth.kube.reflector import Reflector
from berth.kube.resources import CONFIG_MAPS, NAMESPACES, SECRETS, SERVICES, Manifest
from tests.kit.control_plane import ControlPlane


def config_map(namespace: str, name: str = "one", **data: str) -> Manifest:
    metadata = {"name": name, "namespace": namespace, "labels": {"test": "yes"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def test_what_is_absent_is_none(client: KubeClient, namespace: str) -> None:
    assert await client.get(CONFIG_MAPS, "absent", namespace) is None


async def test_apply_creates_changes_and_drops_what_is_desired_no_longer(client: KubeClient, namespace: str) -> None:
    await client.apply(CONFIG_MAPS, config_map(namespace, a="1", b="2"), field_manager="test")
    await client.apply(CONFIG_MAPS, config_map(namespace, a="3"), field_manager="test")
    live = await client.get(CONFIG_MAPS, "one", namespace)
    assert live is not None
    assert live["data"] == {"a": "3"}


async def test_a_list_longer_than_a_page_is_complete_and_typed(
    client: KubeClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE_SIZE", 2)
    for number in range(5):
        await client.apply(CONFIG_MAPS, config_map(namespace, f"m{number}"), field_manager="test")
    found = await client.list(CONFIG_MAPS, namespace, label_selector="test=yes")
    assert {item["metadata"]["name"] for item in found} == {f"m{number}" for number in range(5)}
    assert {(item["apiVersion"], item["kind"]) for item in found} == {("v1", "ConfigMap")}


async def test_a_uid_in_the_body_never_writes_to_a_successor(client: KubeClient, namespace: str) -> None:
    first = await client.apply(CONFIG_MAPS, config_map(namespace), field_manager="test")
    await client.delete(CONFIG_MAPS, "one", namespace)
    second = await client.apply(CONFIG_MAPS, config_map(namespace), field_manager="test")
    body = config_map(namespace, late="yes")
    body["metadata"]["uid"] = first["metadata"]["uid"]
    with pytest.raises(ConflictError):
        await client.apply(CONFIG_MAPS, body, field_manager="test")
    with pytest.raises(ConflictError):
        await client.delete(CONFIG_MAPS, "one", namespace, uid=first["metadata"]["uid"])
    assert await client.delete(CONFIG_MAPS, "one", namespace, uid=second["metadata"]["uid"])
    assert not await client.delete(CONFIG_MAPS, "one", namespace)


async def test_finalizers_are_set_on_the_object_that_was_read_or_not_at_all(client: KubeClient, namespace: str) -> None:
    read = await client.apply(CONFIG_MAPS, config_map(namespace), field_manager="test")
    await client.apply(CONFIG_MAPS, config_map(namespace, a="1"), field_manager="test")
    with pytest.raises(ConflictError):
        await client.set_finalizers(read, ["berth.dev/trash"], field_manager="test")
    fresh = await client.get(CONFIG_MAPS, "one", namespace)
    assert fresh is not None
    held = await client.set_finalizers(fresh, ["berth.dev/trash"], field_manager="test")
    assert held["metadata"]["finalizers"] == ["berth.dev/trash"]
    assert "finalizers" not in (await client.set_finalizers(held, [], field_manager="test"))["metadata"]


async def test_refusals_are_typed_and_one_sentence_with_the_object_and_the_reason(
    client: KubeClient, namespace: str, control_plane: ControlPlane
) -> None:
    bad = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": namespace},
        "spec": {"ports": [{"port": 99999}]},
    }
    with pytest.raises(InvalidError, match=rf"^Applying Service {namespace}/s was answered with 422: .*99999.*\.$"):
        await client.apply(SERVICES, bad, field_manager="test")
    with pytest.raises(NotFoundError, match=r"^Applying ConfigMap nowhere/one was answered with 404: "):
        await client.apply(CONFIG_MAPS, config_map("nowhere"), field_manager="test")
    control_plane.service_account(namespace, "visitor")
    async with KubeClient.connect(control_plane.kubeconfig_of(namespace, "visitor")) as visitor:
        with pytest.raises(ForbiddenError, match=r"^Reading Namespace kube-system was answered with 403: "):
            await visitor.get(NAMESPACES, "kube-system")


async def test_no_value_of_a_secret_is_in_an_error(client: KubeClient, namespace: str) -> None:
    value = "correct-horse-battery"
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": namespace},
        "data": {"k": value},  # not base64, so the API server quotes it in its answer
    }
    with pytest.raises(KubeError) as broken:
        await client.apply(SECRETS, body, field_manager="test")
    assert value not in str(broken.value)
    encoded = base64.b64encode(value.encode()).decode()
    with pytest.raises(InvalidError) as refused:
        await client.apply(SECRETS, {**body, "data": {f"bad key {value}": encoded}}, field_manager="test")
    assert value not in str(refused.value)


async def test_an_api_server_that_is_away_is_unavailable(client: KubeClient, tmp_path: Path) -> None:
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(kubeconfig))
    async with KubeClient.connect(path) as away:
        with pytest.raises(UnavailableError, match=r"^Reading Namespace default got no answer"):
            await away.get(NAMESPACES, "default")


async def test_bytes_of_a_path_are_given_as_they_are(client: KubeClient) -> None:
    assert "keys" in json.loads(await client.raw_get("/openid/v1/jwks"))


async def test_a_token_that_the_kubelet_replaced_is_read_again(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    control_plane.service_account(namespace, "pod")
    token.write_text("expired")
    ca.write_bytes(control_plane.ca_file.read_bytes())
    host, port = control_plane.server.removeprefix("https://").split(":")
    monkeypatch.setattr(client_config, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setattr(client_config, "TOKEN_SECONDS", 0.0)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    async with KubeClient.connect() as pod:
        with pytest.raises(ForbiddenError, match="401"):
            await pod.raw_get("/version")
        token.write_text(control_plane.token(namespace, "pod"))
        assert json.loads(await pod.raw_get("/version"))["gitVersion"]


async def test_a_reflector_follows_a_real_server(client: KubeClient, namespace: str) -> None:
    seen: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def changed(old: Manifest | None, new: Manifest | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        seen.put_nowait(("appeared" if old is None else "gone" if new is None else "changed", name))

    await client.apply(CONFIG_MAPS, config_map(namespace, "one"), field_manager="test")
    await client.apply(
        CONFIG_MAPS,
        {**config_map(namespace, "other"), "metadata": {"name": "other", "namespace": namespace}},
        field_manager="test",
    )
    reflector = Reflector(client, CONFIG_MAPS, namespace, "test=yes", on_change=changed)
    task = asyncio.create_task(reflector.run())
    async with asyncio.timeout(20):
        await reflector.synced.wait()
        assert await seen.get() == ("appeared", "one")
        await client.apply(CONFIG_MAPS, config_map(namespace, "one", a="1"), field_manager="test")
        assert await seen.get() == ("changed", "one")
        unlabelled = {"metadata": {"labels": {"test": None}}}
        await client.merge(CONFIG_MAPS, (namespace, "one"), unlabelled, field_manager="test")
        assert await seen.get() == ("gone", "one")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert dict(reflector.objects) == {}
