"""Berth on loopback with its settings of production: API server, access process, gateway, registry, and their twins.

The twins are for comparison: the same registry without authorization, an nginx with its defaults in front of either,
and an nginx with a constant response.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from bench.machine import Cores, on
from bench.names_server import names_server
from berth.api.names import REGISTRY_PORT
from berth.authz.token_format import make_token, token_sha256
from berth.desired.registry.config import registry_config
from berth.settings import GatewaySettings
from tests.kit.access.running import BERTH, REPOSITORY, certification, install, namespace, policy, project, user
from tests.kit.access.world import AUTHORITY, basic, write_keys
from tests.kit.catalog.registries import project_inputs
from tests.kit.control_plane import ControlPlane, free_ports, tool
from tests.kit.control_plane import running as running_control_plane
from tests.kit.gateway.running import Gateway, gateway_settings, run_gateway, run_nginx, wait_for, write_certificate

PROJECT: Final = "genomics"
IMAGE: Final = f"{PROJECT}/aligner"
USER: Final = "ann"
ROBOT: Final = "puller"
START_SECONDS: Final = 60.0
_ENDS_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")


@dataclass(frozen=True)
class Installation:
    """Everything that runs, and how to reach it."""

    directory: Path
    cores: Cores
    access_url: str
    access: subprocess.Popen[bytes]
    gateway: Gateway
    gateway_token: str
    robot_token: str
    registry: subprocess.Popen[bytes]  # the project's, as Berth configures it
    plain_proxy: Gateway  # nginx with its defaults before that registry
    open_proxy: Gateway  # the same before the registry without authorization
    open_registry: str  # address of that one

    @property
    def robot(self) -> str:
        """The Basic header of the robot."""
        return basic(ROBOT, self.robot_token)

    def through_gateway(self, authorization: str, source: str = "198.51.100.7") -> dict[str, str]:
        """The headers of a request as the gateway hands it to access."""
        return {
            "Host": self.gateway.address,
            "Authorization": authorization,
            "X-Forwarded-For": source,
            "X-Forwarded-Host": self.gateway.address,
            "X-Forwarded-Proto": "https",
            "X-Request-Id": "0123456789abcdef0123456789abcdef",
            "User-Agent": "containers/5.24.1 (github.com/containers/image)",
            "Berth-Gateway-Token": self.gateway_token,
        }

    def ask(self, target: str, authorization: str) -> bytes:
        """The body of a GET straight to access, which must be a 200."""
        address = self.access_url.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", target, headers=self.through_gateway(authorization))
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{target} was answered {answer.status}: {body[:200].decode()}")
            return body


@contextlib.contextmanager
def installation(directory: Path, cores: Cores) -> Iterator[Installation]:
    """Start everything; servers on one core, what only has to be there on the other."""
    robot_token = make_token(random.Random(1).randbytes(32))  # noqa: S311 - it opens this installation alone
    registry_address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.1"  # noqa: S311
    with contextlib.ExitStack() as stack:
        folders = {name: directory / name for name in ("plane", "access", "gateway", "plain", "open", "registry")}
        for folder in folders.values():
            folder.mkdir()
        with on(cores.load):
            plane = stack.enter_context(running_control_plane(folders["plane"]))
            kubeconfig = install(plane)
            plane.apply(*_objects(robot_token))
            resolver = stack.enter_context(names_server(registry_address))
        with on(cores.server):
            (port,) = free_ports(1)
            settings = _gateway_settings(folders["gateway"], port, resolver, plane)
            access = stack.enter_context(_access(folders["access"], kubeconfig, port, settings.host))
            ports = {"registry": (registry_address, REGISTRY_PORT), "open": ("127.0.0.1", free_ports(1)[0])}
            registries = {
                name: stack.enter_context(_registry(folders["registry"], name, *place)) for name, place in ports.items()
            }
            yield Installation(
                directory=directory,
                cores=cores,
                access_url=f"http://127.0.0.1:{port}",
                access=access,
                gateway=stack.enter_context(run_gateway(settings)),
                gateway_token=settings.gateway_token_file.read_text(),
                robot_token=robot_token,
                registry=registries["registry"],
                plain_proxy=stack.enter_context(_proxy(folders["plain"], settings, *ports["registry"])),
                open_proxy=stack.enter_context(_proxy(folders["open"], settings, *ports["open"])),
                open_registry="{}:{}".format(*ports["open"]),
            )


def _objects(robot_token: str) -> Sequence[dict[str, Any]]:
    """One project with one repository, as a push makes it; ann pushes, the robot pulls."""
    rules = [
        {"kind": kind, "name": name, "level": level, "actions": [], "source": "Sharing"}
        for kind, name, level in (("User", USER, "Edit"), ("Robot", ROBOT, "Download"))
    ]
    where = {"name": IMAGE.partition("/")[2], "namespace": f"berth-{PROJECT}"}
    repository = {"apiVersion": "berth.dev/v1alpha1", "kind": "DockerRepository", "metadata": where, "spec": {}}
    robot = {"apiVersion": "berth.dev/v1alpha1", "kind": "RegistryUser", "metadata": {"name": ROBOT}}
    token = {"apiVersion": "berth.dev/v1alpha1", "kind": "AccessToken", "metadata": {"name": f"{ROBOT}-token"}}
    spec = {"owner": {"kind": "Robot", "name": ROBOT}, "scopes": ["view", "download"]}
    return (
        namespace(PROJECT),
        project(PROJECT),
        policy(PROJECT, rules=rules),
        repository,
        *user(USER),
        certification(USER),
        robot | {"spec": {"type": "Robot"}},
        token | {"spec": spec | {"sha256": token_sha256(robot_token)}},
    )


def _gateway_settings(folder: Path, access_port: int, resolver: int, plane: ControlPlane) -> GatewaySettings:
    settings = gateway_settings(folder, access_port).model_copy(update={"resolver": f"127.0.0.1:{resolver}"})
    settings.gateway_token_file.write_text(plane.token(BERTH, "berth-gateway", "berth-access"))
    write_certificate(settings.tls_dir)
    return settings


@contextlib.contextmanager
def _access(folder: Path, kubeconfig: Path, port: int, host: str) -> Iterator[subprocess.Popen[bytes]]:
    """The access process; its log goes through a pipe, as a container's does."""
    (metrics,) = free_ports(1)
    for name in ("keys", "state"):
        (folder / name).mkdir()
    write_keys(folder / "keys")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY / "operator"), str(REPOSITORY))),
        "BERTH_HOST": host,
        "BERTH_NAMESPACE": BERTH,
        "BERTH_PORT": str(port),
        "BERTH_METRICS_PORT": str(metrics),
        "BERTH_SIGNING_DIR": str(folder / "keys"),
        "BERTH_STATE_DIR": str(folder / "state"),
        "BERTH_CATALOG_URL": "http://127.0.0.1:1",
        "BERTH_UPSTREAM_SELF": "http://localhost",
    }
    command = [*_ENDS_WITH_US, sys.executable, "-m", "bench.access_server", str(kubeconfig)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    log = (folder / "log").open("wb")
    with on(_other_core()):
        reader = subprocess.Popen(["tail", "-n", "50"], stdin=process.stderr, stdout=log)
    try:
        wait_for(lambda: _ready(process, port), START_SECONDS)
        yield process
    finally:
        process.terminate()
        process.wait(40)
        reader.wait(10)
        log.close()


def _other_core() -> int:
    """The core that this process does not keep to at the moment, if there is one."""
    here = os.sched_getaffinity(0)
    rest = set(range(os.cpu_count() or 1)) - here
    return min(rest or here)


def _ready(process: subprocess.Popen[bytes], port: int) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"the access process ended with {process.returncode}")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False


@contextlib.contextmanager
def _registry(folder: Path, name: str, address: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A registry as Berth configures it; `open` lacks the authorization. Both have the same data."""
    (debug,) = free_ports(1)
    config = registry_config(PROJECT, project_inputs(AUTHORITY))
    config["http"] |= {"addr": f"{address}:{port}", "debug": {"addr": f"127.0.0.1:{debug}"}}
    config["storage"]["filesystem"]["rootdirectory"] = str(folder / "data")
    (folder / "ca.crt").write_bytes(AUTHORITY.certificate_pem)
    config["auth"]["token"]["rootcertbundle"] = str(folder / "ca.crt")
    if name == "open":
        del config["auth"]
    (folder / f"{name}.yml").write_text(yaml.safe_dump(config))
    with (folder / f"{name}.log").open("wb") as log:
        command = [*_ENDS_WITH_US, str(tool("registry")), "serve", str(folder / f"{name}.yml")]
        environment = {"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        wait_for(lambda: _listens(process, address, port), START_SECONDS)
        yield process
    finally:
        process.terminate()
        process.wait(70)


def _listens(process: subprocess.Popen[bytes], address: str, port: int) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"a registry ended with {process.returncode}; is {address}:{port} taken?")
    connection = http.client.HTTPConnection(address, port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status in (200, 401)
        except OSError:
            return False


@contextlib.contextmanager
def _proxy(folder: Path, like: GatewaySettings, address: str, port: int) -> Iterator[Gateway]:
    """nginx as one sets it up without a thought: TLS with the gateway's certificate, one worker, buffers by default."""
    listen, health = free_ports(2)
    settings = like.model_copy(update={"port": listen, "health_port": health, "output_dir": folder})
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; user root; worker_processes 1; pid {folder}/pid; error_log stderr warn;
        events {{ worker_connections 1024; }}
        http {{
            access_log /dev/stdout; client_max_body_size 0; {temporary}
            server {{
                listen {listen} ssl http2;
                ssl_certificate {like.tls_dir}/tls.crt; ssl_certificate_key {like.tls_dir}/tls.key;
                location / {{ proxy_pass http://{address}:{port}; proxy_set_header Host $http_host; }}
            }}
            server {{ listen {health}; return 200; }}
        }}"""
    )
    with run_nginx(settings, in_image=False) as proxy:
        yield proxy


@contextlib.contextmanager
def constant(folder: Path, body: bytes, like: GatewaySettings) -> Iterator[Gateway]:
    """An nginx of one worker that answers everything on its port with this body, and keeps no log of it."""
    folder.mkdir()
    (port,) = free_ports(1)
    settings = like.model_copy(update={"port": port, "health_port": port, "output_dir": folder})
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; user root; worker_processes 1; pid {folder}/pid; error_log stderr warn;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 100000000; default_type application/json;
            server {{ listen {port}; location / {{ return 200 '{body.decode("ascii")}'; }} }}
        }}"""
    )
    with run_nginx(settings, in_image=False) as server:
        yield server


def put_blob(address: str, repository: str, data: bytes, digest: str) -> None:
    """Upload a blob to a registry without authorization."""
    connection = http.client.HTTPConnection(address, timeout=120)
    with contextlib.closing(connection):
        begun = _called(connection, "POST", f"/v2/{repository}/blobs/uploads/", b"", {})
        location = begun.headers["Location"]
        target = location.removeprefix(f"http://{address}")
        _called(connection, "PUT", f"{target}&digest={digest}", data, {"Content-Type": "application/octet-stream"})


def put_manifest(address: str, repository: str, tag: str, body: bytes, media_type: str) -> None:
    """Write a manifest to a registry without authorization."""
    connection = http.client.HTTPConnection(address, timeout=60)
    with contextlib.closing(connection):
        _called(connection, "PUT", f"/v2/{repository}/manifests/{tag}", body, {"Content-Type": media_type})


def _called(
    connection: http.client.HTTPConnection, method: str, target: str, body: bytes, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    connection.request(method, target, body, dict(headers))
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {target} was answered {answer.status}: {text[:200].decode('utf-8', 'replace')}")
    return answer


def docker_config(folder: Path, host: str, user_name: str, password: str) -> Path:
    """A folder for DOCKER_CONFIG that logs in at one host."""
    folder.mkdir(exist_ok=True)
    pair = base64.b64encode(f"{user_name}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": pair}}}))
    return folder
