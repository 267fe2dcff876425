"""Kubeconfigs as kubectl reads them: merged, one context chosen, its credentials loaded."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from berth.kube import client_config
from berth.kube.client_config import ClientConfig, NoClusterError, TokenFile, in_cluster
from berth.kube.kubeconfig import load_kubeconfig

NEVER, LONG_AGO = 4102444800, 946684800


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def id_token(**claims: Any) -> str:
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in ({}, claims, {})
    )


def kubeconfig(path: Path, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None) -> str:
    content = {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://c.example/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


def read(path: str) -> str:
    return Path(path).read_text()


async def loaded(path: str, context: str = "") -> ClientConfig:
    async with load_kubeconfig(path, context) as config:
        return config


def plugin(folder: Path, output: str, **settings: Any) -> dict[str, Any]:
    program = folder / "login"
    program.write_text(f"#!/bin/sh\n{output}\n")
    program.chmod(0o755)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login", **settings}}


def prints(status: dict[str, str]) -> str:
    return f"echo '{json.dumps({'kind': 'ExecCredential', 'status': status})}'"


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({}, None),
        ({"token": "secret"}, "Bearer secret"),
        ({"username": "ann", "password": "pw"}, f"Basic {encoded('ann:pw')}"),
        ({"token": "secret", "exec": None, "auth-provider": None}, "Bearer secret"),
        (
            {"auth-provider": {"name": "oidc", "config": {"id-token": id_token(exp=NEVER)}}},
            f"Bearer {id_token(exp=NEVER)}",
        ),
    ],
    ids=["none", "token", "password", "nulls", "oidc"],
)
async def test_each_kind_of_user_has_its_authorization(
    tmp_path: Path, user: dict[str, Any], header: str | None
) -> None:
    config = await loaded(kubeconfig(tmp_path / "config", user))
    assert (config.server, config.authorization()) == ("https://c.example", header)


async def test_a_token_file_is_read_relative_to_the_kubeconfig_and_precedes_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    config = await loaded(kubeconfig(tmp_path / "config", {"tokenFile": "token", "token": "inline"}))
    assert config.authorization() == "Bearer from-file"


async def test_paths_are_relative_to_the_kubeconfig_and_inline_data_precedes_them(tmp_path: Path) -> None:
    user = {"client-certificate": "a.crt", "client-key": "/keys/a.key", "client-key-data": encoded("KEY")}
    path = kubeconfig(tmp_path / "config", user, {"certificate-authority-data": encoded("CA")})
    async with load_kubeconfig(path) as config:
        assert config.certificate_file == str(tmp_path / "a.crt")
        assert config.ca_file is not None
        assert config.key_file is not None
        inline = Path(config.ca_file), Path(config.key_file)
        assert [each.read_text() for each in inline] == ["CA", "KEY"]
        assert {each.stat().st_mode & 0o777 for each in inline} == {0o600}
        assert inline[0].parent.stat().st_mode & 0o777 == 0o700
    assert not inline[0].parent.exists()


async def test_the_settings_of_tls_and_proxy_are_taken(tmp_path: Path) -> None:
    cluster = {"insecure-skip-tls-verify": True, "tls-server-name": "api", "proxy-url": "http://proxy:3128"}
    config = await loaded(kubeconfig(tmp_path / "config", {}, cluster))
    assert (config.insecure, config.tls_server_name, config.proxy) == (True, "api", "http://proxy:3128")
    assert config.ssl_context().check_hostname is False


async def test_of_several_files_the_first_entry_and_the_first_current_context_count(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(yaml.safe_dump({"current-context": "two", "users": [{"name": "u", "user": {"token": "mine"}}]}))
    kubeconfig(second, {"token": "other"})
    content = yaml.safe_load(second.read_text())
    content["contexts"].append({"name": "two", "context": {"cluster": "c", "user": "u"}})
    second.write_text(yaml.safe_dump(content))
    config = await loaded(f"{first}:{tmp_path / 'absent'}:{second}")
    assert (config.server, config.authorization()) == ("https://c.example", "Bearer mine")


async def test_a_named_context_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "config"
    kubeconfig(path)
    content = yaml.safe_load(path.read_text())
    content["clusters"].append({"name": "d", "cluster": {"server": "https://d.example"}})
    content["contexts"].append({"name": "other", "context": {"cluster": "d"}})
    path.write_text(yaml.safe_dump(content))
    config = await loaded(str(path), "other")
    assert (config.server, config.authorization()) == ("https://d.example", None)


async def test_an_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", plugin(tmp_path, prints({"token": "fresh"}), args=None, env=None))
    assert (await loaded(path)).authorization() == "Bearer fresh"


async def test_an_exec_plugin_gets_its_arguments_its_environment_and_what_it_may_know(tmp_path: Path) -> None:
    script = f'echo "$1 $PROFILE" > {tmp_path}/seen; echo "$KUBERNETES_EXEC_INFO" > {tmp_path}/info; '
    user = plugin(
        tmp_path,
        script + prints({"token": "fresh"}),
        args=["get-token"],
        env=[{"name": "PROFILE", "value": "lab"}],
        provideClusterInfo=True,
        interactiveMode="Never",
    )
    await loaded(kubeconfig(tmp_path / "config", user, {"certificate-authority-data": encoded("CA")}))
    assert (tmp_path / "seen").read_text() == "get-token lab\n"
    info = json.loads((tmp_path / "info").read_text())
    assert (info["kind"], info["apiVersion"]) == ("ExecCredential", "client.authentication.k8s.io/v1")
    assert info["spec"]["interactive"] is False
    assert info["spec"]["cluster"] == {"server": "https://c.example/", "certificate-authority-data": encoded("CA")}


async def test_an_exec_plugin_gives_a_certificate(tmp_path: Path) -> None:
    user = plugin(tmp_path, prints({"clientCertificateData": "CERT", "clientKeyData": "KEY"}))
    async with load_kubeconfig(kubeconfig(tmp_path / "config", user)) as config:
        assert config.certificate_file is not None
        assert config.key_file is not None
        assert [read(config.certificate_file), read(config.key_file)] == ["CERT", "KEY"]
        assert config.authorization() is None


@pytest.mark.parametrize(
    ("output", "settings", "reason"),
    [
        ("exit 3", {}, "ended with status 3"),
        ("echo nonsense", {}, "printed no ExecCredential"),
        ('echo \'{"status": {"token": 5}}\'', {}, "printed no ExecCredential"),
        (prints({"token": "two\nlines"}).replace("\\", "\\\\"), {}, "a line end"),
        ("echo '{\"status\": {}}'", {}, "returned neither a token nor a certificate with its key"),
        ("", {"command": "/no/such/login", "installHint": "Get it."}, r"cannot be started: .*\(Get it\.\)"),
        ("", {"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "v1alpha1 of its exec plugin"),
        ("", {"command": ""}, r"^exec\.command of its user u: "),
    ],
)
async def test_a_plugin_that_gives_nothing_has_its_sentence(
    tmp_path: Path, output: str, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NoClusterError, match=reason):
        await loaded(kubeconfig(tmp_path / "config", plugin(tmp_path, output, **settings)))


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ({"name": "gcp"}, "auth-provider gcp no longer exists"),
        ({"name": "oidc", "config": {"id-token": id_token(exp=LONG_AGO)}}, "id-token has expired"),
        ({"name": "oidc"}, "id-token is missing"),
        ({"name": "oidc", "config": {"id-token": id_token(exp="soon")}}, "is not a JWT"),
        ({"name": "oidc", "config": {"id-token": id_token(exp=None)}}, "is not a JWT"),
    ],
)
async def test_an_auth_provider_that_gives_nothing_has_its_sentence(
    tmp_path: Path, provider: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NoClusterError, match=reason):
        await loaded(kubeconfig(tmp_path / "config", {"auth-provider": provider}))


@pytest.mark.parametrize(
    ("content", "context", "reason"),
    [
        ({}, "", "no current-context"),
        ({}, "x", "no context 'x'"),
        ({"contexts": [{"name": "x", "context": {}}]}, "x", "its context names no cluster"),
        ({"contexts": [{"name": "x", "context": {"cluster": "c"}}], "clusters": None}, "x", "no cluster 'c'"),
        (
            {"contexts": [{"name": "x", "context": {"cluster": "c"}}], "clusters": [{"name": "c", "cluster": {}}]},
            "x",
            "server of its cluster c: Field required",
        ),
        ("text", "", "not a YAML mapping"),
        ({"contexts": 5}, "x", "its contexts are not a list"),
        ({"contexts": [{"name": "x", "context": [1]}]}, "x", "^its context x: it should be a mapping"),
    ],
)
async def test_an_incomplete_kubeconfig_is_refused_with_what_is_missing(
    tmp_path: Path, content: Any, context: str, reason: str
) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(NoClusterError, match=reason):
        await loaded(str(path), context)


@pytest.mark.parametrize(
    "content",
    [
        "token: 'hunter2\n",
        "token: *hunter2",
        "token: !hunter2 x",
        'token: "hunter2\\q"',
        "? [hunter2]\n: x",
        "a: " + 5000 * "[" + "hunter2",
        "hunter2: 2026-99-99",
    ],
)
async def test_a_kubeconfig_that_is_not_yaml_is_refused_without_its_content(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(NoClusterError, match=r"^it is not valid YAML") as refused:
        await loaded(str(path))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ("c.example:443", "is not a URL such as https://HOST:PORT"),
        ("https://c.example:99999", "is not a URL such as https://HOST:PORT"),
        ("ftp://c.example", "is not a URL such as https://HOST:PORT"),
        ("https://ann:hunter2@c.example", "contains a user"),
    ],
)
async def test_a_server_that_cannot_be_called_is_refused(tmp_path: Path, server: str, reason: str) -> None:
    with pytest.raises(NoClusterError, match=reason) as refused:
        await loaded(kubeconfig(tmp_path / "config", {}, {"server": server}))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("content", "reason"), [("", "is empty"), ("two\nlines", "has more than a token")])
async def test_a_token_file_without_one_token_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(NoClusterError, match=reason):
        await loaded(kubeconfig(tmp_path / "config", {"tokenFile": "token"}))


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="/absent"):
        await loaded(kubeconfig(tmp_path / "config", {"tokenFile": "absent"}))
    config = await loaded(kubeconfig(tmp_path / "config", {}, {"certificate-authority": "absent"}))
    with pytest.raises(FileNotFoundError, match="/absent"):
        config.ssl_context()


async def test_inline_data_that_is_not_base64_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoClusterError, match="not base64"):
        await loaded(kubeconfig(tmp_path / "config", {}, {"certificate-authority-data": "hunter2hunter"}))


def test_a_token_file_is_read_again_after_a_minute(tmp_path: Path) -> None:
    now = 0.0
    path = tmp_path / "token"
    path.write_text("old")
    header = TokenFile(path, lambda: now)
    assert header() == "Bearer old"
    path.write_text("new")
    now = 59.0
    assert header() == "Bearer old"
    now = 60.0
    assert header() == "Bearer new"


def test_a_token_file_that_cannot_be_read_again_keeps_its_last_token(tmp_path: Path) -> None:
    now = 0.0
    path = tmp_path / "token"
    path.write_text("")
    header = TokenFile(path, lambda: now)
    with pytest.raises(NoClusterError, match="is empty"):
        header()
    path.write_text("good")
    assert header() == "Bearer good"
    path.write_text("")
    now = 60.0
    assert header() == "Bearer good"
    path.unlink()
    now = 120.0
    assert header() == "Bearer good"
    path.write_text("next")
    now = 180.0
    assert header() == "Bearer next"


def test_a_pod_is_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_config, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(NoClusterError, match="This is no Pod"):
        in_cluster()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(NoClusterError, match="token is missing"):
        in_cluster()
    (tmp_path / "token").write_text("pod")
    (tmp_path / "ca.crt").write_text("CA")
    config = in_cluster()
    assert (config.server, config.ca_file) == ("https://[fd00::1]:443", str(tmp_path / "ca.crt"))
    assert config.authorization() == "Bearer pod"


def test_no_secret_is_shown(tmp_path: Path) -> None:
    config = ClientConfig("https://c.example", authorization=lambda: "Bearer secret")
    assert "secret" not in repr(config)
    assert "authorization" not in repr(config)
