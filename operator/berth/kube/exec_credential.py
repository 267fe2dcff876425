"""Credentials of an exec plugin, such as kubelogin or a cloud's login (`client.authentication.k8s.io`).

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from berth.kube.client_config import NoClusterError

VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """The program of `users[].user.exec`. `cluster` is what the program learns about the cluster, if anything."""

    api_version: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    interactive_mode: str = "IfAvailable"
    install_hint: str = ""
    cluster: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ExecCredential:
    """What the program returned: a token, a client certificate with its key (PEM), or both."""

    token: str = field(default="", repr=False)
    certificate: str = ""
    key: str = field(default="", repr=False)


async def exec_credential(plugin: ExecPlugin) -> ExecCredential:
    """Run the plugin once. Its standard error goes to the terminal. Raises NoClusterError when it returns nothing."""
    if plugin.api_version not in VERSIONS:
        raise NoClusterError(
            f"the API version {plugin.api_version} of its exec plugin is not supported; use {VERSIONS[0]}"
        )
    interactive = plugin.interactive_mode != "Never" and sys.stdin is not None and sys.stdin.isatty()
    spec = {"interactive": interactive} | ({"cluster": plugin.cluster} if plugin.cluster else {})
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    program = plugin.command[0]
    try:
        process = await asyncio.create_subprocess_exec(
            *plugin.command,
            env={**os.environ, **plugin.env, "KUBERNETES_EXEC_INFO": json.dumps(info)},
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
    except OSError as error:
        hint = f" ({' '.join(plugin.install_hint.split())})" if plugin.install_hint else ""
        raise NoClusterError(f"its exec plugin {program} cannot be started: {error.strerror}{hint}") from error
    output, _ = await process.communicate()
    if process.returncode:
        raise NoClusterError(f"its exec plugin {program} ended with status {process.returncode}")
    return _credential(program, output)


def _credential(program: str, output: bytes) -> ExecCredential:
    try:
        status = json.loads(output)["status"]
        fields = [status.get(name) or "" for name in ("token", "clientCertificateData", "clientKeyData")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NoClusterError(f"its exec plugin {program} printed no ExecCredential") from error
    if not all(isinstance(each, str) for each in fields):
        raise NoClusterError(f"its exec plugin {program} printed no ExecCredential")
    credential = ExecCredential(*fields)
    if not credential.token and not (credential.certificate and credential.key):
        raise NoClusterError(f"its exec plugin {program} returned neither a token nor a certificate with its key")
    return credential
