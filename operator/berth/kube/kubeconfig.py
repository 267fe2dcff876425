"""Kubeconfig files: merged as kubectl merges them, one context chosen, its credentials loaded.

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from berth.kube.client_config import ClientConfig, NoClusterError, TokenFile, no_authorization
from berth.kube.exec_credential import ExecPlugin, exec_credential

_OIDC_SKEW: Final = 10.0  # seconds; a token that ends sooner counts as expired


class _Entry(BaseModel):
    """A part of a kubeconfig; keys are joined by hyphens, and null means absent."""

    model_config = ConfigDict(frozen=True, alias_generator=lambda name: name.replace("_", "-"))

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        return {key: each for key, each in value.items() if each is not None} if isinstance(value, dict) else value


class Cluster(_Entry):
    """`clusters[].cluster`."""

    server: str = Field(min_length=1)
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class _Variable(_Entry):
    name: str
    value: str = ""


class Exec(_Entry):
    """`users[].user.exec`."""

    api_version: str = Field(alias="apiVersion")
    command: str = Field(min_length=1)
    args: tuple[str, ...] = ()
    env: tuple[_Variable, ...] = ()
    install_hint: str = Field(default="", alias="installHint")
    interactive_mode: str = Field(default="IfAvailable", alias="interactiveMode")
    provide_cluster_info: bool = Field(default=False, alias="provideClusterInfo")


class AuthProvider(_Entry):
    """`users[].user.auth-provider`: superseded by exec plugins, `oidc` is left."""

    name: str
    config: dict[str, Any] = Field(default_factory=dict, repr=False)


class User(_Entry):
    """`users[].user`."""

    token: str = Field(default="", repr=False)
    token_file: str = Field(default="", alias="tokenFile")
    username: str = ""
    password: str = Field(default="", repr=False)
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = Field(default="", repr=False)
    exec: Exec | None = None
    auth_provider: AuthProvider | None = None


class Context(_Entry):
    """`contexts[].context`."""

    cluster: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class ChosenContext:
    """Cluster and user of a context, each with the folder that its relative paths start from."""

    cluster: Cluster
    cluster_folder: Path
    user: User
    user_folder: Path


_Model = TypeVar("_Model", bound=_Entry)


def choose(paths: str, context: str = "") -> ChosenContext:
    """The context of that name, or the current one, of one or several files joined as in KUBECONFIG.

    Of entries with one name the first counts, as of `current-context`. Raises NoClusterError.
    """
    files = [(file.parent, _read(file)) for file in _files(paths)]
    current = context or next((str(each["current-context"]) for _, each in files if each.get("current-context")), "")
    if not current:
        raise NoClusterError("it has no current-context")
    _, chosen = _named(Context, files, "context", current)
    cluster_folder, cluster = _named(Cluster, files, "cluster", chosen.cluster)
    if not chosen.user:
        return ChosenContext(cluster, cluster_folder, User(), cluster_folder)
    user_folder, user = _named(User, files, "user", chosen.user)
    return ChosenContext(cluster, cluster_folder, user, user_folder)


@asynccontextmanager
async def load_kubeconfig(paths: str, context: str = "") -> AsyncIterator[ClientConfig]:
    """How to reach the cluster of a context. Inline certificates lie in a private folder until the end.

    Raises NoClusterError with a reason that completes "The kubeconfig X cannot be used: …".
    """
    chosen = choose(paths, context)
    with tempfile.TemporaryDirectory(prefix="berth-") as folder:
        yield await _client_config(chosen, Path(folder))


async def _client_config(chosen: ChosenContext, scratch: Path) -> ClientConfig:
    cluster, user = chosen.cluster, chosen.user
    authorization = _authorization(user, chosen.user_folder)
    certificate_file = _pem(
        scratch / "client.crt", user.client_certificate_data, user.client_certificate, chosen.user_folder
    )
    key_file = _pem(scratch / "client.key", user.client_key_data, user.client_key, chosen.user_folder)
    if user.exec:
        credential = await exec_credential(_plugin(user.exec, chosen))
        if credential.token:
            authorization = _fixed(f"Bearer {credential.token}")
        if credential.certificate:
            certificate_file = _write(scratch / "exec.crt", credential.certificate.encode())
            key_file = _write(scratch / "exec.key", credential.key.encode())
    return ClientConfig(
        server=_server(cluster),
        ca_file=_pem(
            scratch / "ca.crt",
            cluster.certificate_authority_data,
            cluster.certificate_authority,
            chosen.cluster_folder,
        ),
        certificate_file=certificate_file,
        key_file=key_file,
        insecure=cluster.insecure_skip_tls_verify,
        tls_server_name=cluster.tls_server_name or None,
        proxy=cluster.proxy_url or None,
        authorization=authorization,
    )


def _server(cluster: Cluster) -> str:
    """The address of the API server. A user or a password in it would be in messages and logs."""
    try:
        url = urlsplit(cluster.server)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise NoClusterError("the server of its cluster is not a URL such as https://HOST:PORT")
    if url.username is not None:
        raise NoClusterError("the server of its cluster contains a user; set username and password of its user instead")
    return cluster.server.rstrip("/")


def _authorization(user: User, folder: Path) -> Callable[[], str | None]:
    if user.auth_provider:
        return _fixed(f"Bearer {_oidc_token(user.auth_provider)}")
    if user.token_file:
        token = TokenFile(folder / user.token_file)
        token()  # an unreadable file is an error of the kubeconfig, not of the first request
        return token
    if user.token:
        return _fixed(f"Bearer {user.token}")
    if user.username:
        return _fixed("Basic " + base64.b64encode(f"{user.username}:{user.password}".encode()).decode())
    return no_authorization


def _fixed(header: str) -> Callable[[], str]:
    if not header.isprintable():
        raise NoClusterError("its token has a line end or another character that HTTP does not allow")
    return lambda: header


def _oidc_token(provider: AuthProvider) -> str:
    """The ID token. It is not renewed: a new refresh token, lost here, would log kubectl out."""
    if provider.name != "oidc":
        raise NoClusterError(f"its auth-provider {provider.name} no longer exists in Kubernetes; use an exec plugin")
    token = str(provider.config.get("id-token") or "")
    try:
        claims = token.split(".")[1]
        ends = float(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"])
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise NoClusterError("its id-token is missing or is not a JWT; log in with kubectl") from error
    if ends <= time.time() + _OIDC_SKEW:
        raise NoClusterError("its id-token has expired; renew it with any kubectl command")
    return token


def _plugin(exec_: Exec, chosen: ChosenContext) -> ExecPlugin:
    """The plugin as a program to run; a relative path starts at the kubeconfig, a bare name is found by PATH."""
    command = str(chosen.user_folder / exec_.command) if "/" in exec_.command else exec_.command
    return ExecPlugin(
        exec_.api_version,
        (command, *exec_.args),
        {each.name: each.value for each in exec_.env},
        exec_.interactive_mode,
        exec_.install_hint,
        _cluster_info(chosen) if exec_.provide_cluster_info else None,
    )


def _cluster_info(chosen: ChosenContext) -> dict[str, Any]:
    cluster = chosen.cluster
    authority = cluster.certificate_authority_data
    if not authority and cluster.certificate_authority:
        authority = base64.b64encode((chosen.cluster_folder / cluster.certificate_authority).read_bytes()).decode()
    info = {
        "server": cluster.server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": authority,
        "proxy-url": cluster.proxy_url,
    }
    return {key: value for key, value in info.items() if value}


def _pem(target: Path, data: str, path: str, folder: Path) -> str | None:
    """The path of a PEM file: of the inline data, which take precedence, or as given, from the kubeconfig's folder."""
    if data:
        try:
            return _write(target, base64.b64decode(data))
        except ValueError as error:
            raise NoClusterError("an inline certificate or key is not base64") from error
    return str(folder / path) if path else None


def _write(target: Path, content: bytes) -> str:
    target.touch(mode=0o600)
    target.write_bytes(content)
    return str(target)


def _files(paths: str) -> Iterator[Path]:
    """The files that exist, in order, without their links resolved."""
    for path in filter(None, paths.split(os.pathsep)):
        file = Path(path).expanduser().absolute()
        if file.exists():
            yield file


def _read(file: Path) -> dict[str, Any]:
    """The content of a file. The text of a YAML error is not used: it quotes the line, which may have a secret."""
    try:
        content = yaml.safe_load(file.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise NoClusterError(f"it is not valid YAML{where}") from None
    if not isinstance(content, dict):
        raise NoClusterError("it is not a YAML mapping")
    return content


def _named(model: type[_Model], files: list[tuple[Path, dict[str, Any]]], kind: str, name: str) -> tuple[Path, _Model]:
    """The first entry of that kind and name, with the folder of its file."""
    for folder, content in files:
        entries = content.get(f"{kind}s") or []
        if not isinstance(entries, list):
            raise NoClusterError(f"its {kind}s are not a list")
        for entry in entries:
            if isinstance(entry, dict) and entry.get("name") == name:
                try:
                    return folder, model.model_validate(entry.get(kind) or {})
                except ValidationError as error:
                    raise NoClusterError(_invalid(error, f"its {kind} {name}")) from None
    raise NoClusterError(f"it has no {kind} {name!r}" if name else f"its context names no {kind}")


def _invalid(error: ValidationError, entry: str) -> str:
    """The first problem of an entry, without its value."""
    problem = error.errors(include_input=False, include_url=False)[0]
    where = "".join(f"{each}." for each in problem["loc"]).rstrip(".")
    what = "it should be a mapping" if problem["type"] == "model_type" else problem["msg"]
    return f"{where} of {entry}: {what}" if where else f"{entry}: {what}"
