"""The real registry, run on loopback with the configuration that Berth renders; and tokens for it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from berth.api.names import registry_audience
from berth.desired.inputs import ProjectInputs
from berth.desired.installation.keys import KeyPair
from berth.desired.registry.config import dump_config, registry_config
from tests.kit.control_plane import free_ports, tool

PROJECT = "alpha"


@dataclass(frozen=True, slots=True)
class Answer:
    """The response of the registry."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    def codes(self) -> list[str]:
        """The error codes of an OCI `errors` body."""
        return [error["code"] for error in json.loads(self.body)["errors"]]


@dataclass(frozen=True, slots=True)
class RunningRegistry:
    """A registry process; `debug` is its second port."""

    port: int
    debug: int
    process: subprocess.Popen[bytes]

    def ask(
        self,
        method: str,
        path: str,
        token: str = "",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        port: int | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        with contextlib.closing(connection):
            connection.request(method, path, body, {**bearer, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def adapted(inputs: ProjectInputs, directory: Path, port: int, debug: int) -> dict[str, Any]:
    """The rendered configuration with what a container gives replaced: ports, and the places of its two mounts."""
    config = registry_config(PROJECT, inputs)
    config["storage"]["filesystem"]["rootdirectory"] = str(directory / "data")
    config["auth"]["token"]["rootcertbundle"] = str(directory / "ca.crt")
    config["http"]["addr"] = f"127.0.0.1:{port}"
    config["http"]["debug"]["addr"] = f"127.0.0.1:{debug}"
    return config


@contextlib.contextmanager
def running(inputs: ProjectInputs, directory: Path) -> Iterator[RunningRegistry]:
    """Run the registry until the block ends; data in `directory` outlives it."""
    port, debug = free_ports(2)
    (directory / "ca.crt").write_text(inputs.token_authorities.bundle)
    (directory / "config.yml").write_text(dump_config(adapted(inputs, directory, port, debug)))
    environment = {"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"}
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [tool("registry"), "serve", directory / "config.yml"], stdout=log, stderr=log, env=environment
        )
    registry = RunningRegistry(port, debug, process)
    try:
        _await_answer(registry, directory)
        yield registry
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@retry(retry=retry_if_exception_type(OSError), stop=stop_after_delay(30), wait=wait_fixed(0.05), reraise=True)
def _await_answer(registry: RunningRegistry, directory: Path) -> None:
    if registry.process.poll() is not None:
        raise AssertionError((directory / "log").read_text())
    registry.ask("GET", "/")


def token(
    leaf: KeyPair,
    *actions: str,
    repository: str = f"{PROJECT}/app",
    audience: str = registry_audience(PROJECT),
    issuer: str = "berth",
    life: timedelta = timedelta(minutes=5),
    chain: Sequence[str] | None = None,
) -> str:
    """A token in the form of docs/architecture.md; `chain` replaces the leaf that it brings."""
    now = datetime.now(UTC)
    access = [{"type": "repository", "name": repository, "actions": list(actions)}] if actions else []
    claims = {
        "iss": issuer,
        "sub": "curator",
        "aud": [audience],
        "iat": now,
        "nbf": now - timedelta(minutes=10),
        "exp": now + life,
        "access": access,
    }
    certificates = chain if chain is not None else [leaf.certificate]
    return jwt.encode(claims, leaf.key, "ES256", headers={"x5c": [_der(pem) for pem in certificates]})


def _der(pem: str) -> str:
    """A certificate as `x5c` holds it: base64 of DER (RFC 7515, 4.1.6)."""
    return base64.b64encode(x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)).decode()
