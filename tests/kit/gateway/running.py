"""A real nginx on loopback with the configuration that Berth renders, and clients for it."""

from __future__ import annotations

import datetime
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from berth.services.gateway.files import read_inputs, write_files
from berth.services.gateway.nginx import children
from berth.settings import GatewaySettings

HOST = "localhost"
TOKEN = "gateway-service-account.token.value"
START_LIMIT_SECONDS = 10.0


@dataclass
class Gateway:
    """A running nginx, where it listens, and what it has logged."""

    settings: GatewaySettings
    process: subprocess.Popen[bytes]
    ca_file: Path
    access_log: list[str] = field(default_factory=list)
    error_log: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.settings.port}"

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))

    def connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(HOST, self.settings.port, context=self.tls(), timeout=60)

    def request(self, method: str, target: str, headers: Mapping[str, str] | None = None, body: Any = None) -> Reply:
        """One request on a connection of its own; `body` may be an iterator of blocks, which are sent chunked."""
        connection = self.connection()
        try:
            connection.request(method, target, body=body, headers=dict(headers or {}))
            return _reply(connection.getresponse())
        finally:
            connection.close()

    def raw(self, request: bytes, tls: bool = True) -> Reply:
        """Send bytes as they are and read one answer."""
        with socket.create_connection((HOST, self.settings.port), timeout=30) as plain:
            stream = self.tls().wrap_socket(plain, server_hostname=HOST) if tls else plain
            stream.sendall(request)
            response = http.client.HTTPResponse(stream, method=request.split(b" ")[0].decode("latin-1"))
            response.begin()
            return _reply(response)

    def workers(self) -> list[int]:
        """The process ids of nginx's workers."""
        return [pid for pid, _ in children(self.process.pid)]

    def settled(self, lines: int) -> list[dict[str, str]]:
        """The access log once it has this many lines."""
        wait_for(lambda: len(self.access_log) >= lines)
        return [json.loads(line) for line in self.access_log]


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def error(self) -> dict[str, str]:
        """The single error of an `errors` body; anything else is a failure."""
        assert self.headers["Content-Type"] == "application/json", self
        (error,) = json.loads(self.body)["errors"]
        assert set(error) == {"code", "message"}
        return dict(error)


def _reply(response: http.client.HTTPResponse) -> Reply:
    return Reply(response.status, response.headers, response.read())


def wait_for(condition: Any, limit: float = START_LIMIT_SECONDS) -> None:
    """Return when the condition holds; fail after `limit` seconds."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_certificate(folder: Path, common_name: str = HOST) -> None:
    """A self-made certificate for the gateway's host, as `tls.crt` and `tls.key`."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def gateway_settings(folder: Path, access_port: int) -> GatewaySettings:
    """Settings for a gateway on free ports, with its files below a folder."""
    port = free_port()
    (folder / "token").write_text(TOKEN)
    return GatewaySettings.model_validate(
        {
            "host": f"{HOST}:{port}",
            "port": port,
            "health_port": free_port(),
            "access_upstream": f"localhost:{access_port}",
            "gateway_token_file": folder / "token",
            "tls_dir": folder / "tls",
            "output_dir": folder / "run",
            "resolver": "127.0.0.1",
            "workers": 1,
        }
    )


@contextmanager
def run_gateway(settings: GatewaySettings) -> Iterator[Gateway]:
    """nginx with the configuration that Berth writes, until the block ends."""
    write_files(read_inputs(settings), settings.output_dir)
    with run_nginx(settings) as gateway:
        yield gateway


@contextmanager
def run_nginx(settings: GatewaySettings, *, in_image: bool = True) -> Iterator[Gateway]:
    """nginx with the configuration in the output folder, until the block ends.

    `in_image`: with the environment that the gateway's image gives it.
    """
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert nginx, "nginx is missing: run e2e/tools/build, or apt-get install nginx"
    command = [nginx, "-e", "stderr", "-c", str(settings.output_dir / "nginx.conf")]
    environment = {**os.environ, **(image_environment() if in_image else {})}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    gateway = Gateway(settings, process, settings.tls_dir / "tls.crt")
    readers = [
        threading.Thread(target=_collect, args=(stream, lines))
        for stream, lines in ((process.stdout, gateway.access_log), (process.stderr, gateway.error_log))
    ]
    for reader in readers:
        reader.start()
    try:
        wait_for(lambda: _healthy(gateway))
        yield gateway
    finally:
        process.terminate()
        process.wait(timeout=10)
        for reader in readers:
            reader.join()


def image_environment() -> dict[str, str]:
    """What the gateway's image adds to the environment of nginx."""
    dockerfile = Path(__file__).parents[3] / "operator" / "gateway.Dockerfile"
    lines = [line.split()[1:] for line in dockerfile.read_text().splitlines() if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in line)


def _healthy(gateway: Gateway) -> bool:
    assert gateway.process.poll() is None, gateway.error_log
    try:
        with socket.create_connection((HOST, gateway.settings.health_port), timeout=1):
            return True
    except OSError:
        return False


def _collect(stream: IO[bytes] | None, lines: list[str]) -> None:
    assert stream is not None
    for line in stream:
        lines.append(line.decode("utf-8", "replace").rstrip("\n"))
    stream.close()
