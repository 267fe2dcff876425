"""A real etcd and kube-apiserver on loopback for component tests: RBAC, ServiceAccount tokens, an audit log.

There is no kube-controller-manager: a deleted namespace stays Terminating, owner references collect nothing, a
Deployment makes no pod, no namespace gets a default ServiceAccount or `kube-root-ca.crt`, and the aggregated
ClusterRoles (`view`, `edit`, `admin`) are empty. Use names of your own.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from tests.kit.pki import Authority, Pair, rsa_key

ISSUER: Final = "https://kubernetes.default.svc"
BOOT_LIMIT: Final = 90.0  # seconds; a boot takes about 6, on a busy machine several times that
WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})

_AUDIT_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata"}],
}


def tool(name: str) -> Path:
    """A built tool: in `$BERTH_TOOLS/bin`, or the cache that `make tools` fills. A missing one fails, never skips."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    directory = Path(os.environ.get("BERTH_TOOLS") or f"{cache}/berth/tools") / "bin"
    if not (directory / name).exists():
        raise FileNotFoundError(f"{directory / name} is missing: run `make tools`")
    return directory / name


def free_ports(count: int) -> list[int]:
    """Distinct TCP ports of loopback that are free now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One finished request, from the API server's audit log (level Metadata)."""

    user: str  # system:serviceaccount:NAMESPACE:NAME for a ServiceAccount
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int  # HTTP status
    uri: str
    agent: str

    @property
    def is_write(self) -> bool:
        """Whether it changed, or tried to change, an object; a dry run changes nothing and does not count."""
        return self.verb in WRITES and "dryRun=" not in self.uri

    @classmethod
    def parse(cls, line: str) -> AuditEvent:
        """One line of the log."""
        event = json.loads(line)
        ref = event.get("objectRef", {})
        return cls(
            user=event["user"].get("username", ""),
            verb=event["verb"],
            group=ref.get("apiGroup", ""),
            resource=ref.get("resource", ""),
            subresource=ref.get("subresource", ""),
            namespace=ref.get("namespace", ""),
            name=ref.get("name", ""),
            code=event.get("responseStatus", {}).get("code", 0),
            uri=event["requestURI"],
            agent=event.get("userAgent", ""),
        )


class KubectlError(AssertionError):
    """A kubectl command that had to succeed did not."""


@dataclass
class ControlPlane:
    """A running control plane. `kubeconfig` is a cluster-admin's."""

    directory: Path
    server: str  # https://127.0.0.1:PORT
    kubeconfig: Path
    ca_file: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    @property
    def audit_log(self) -> Path:
        """The log; one JSON object a line, written before the answer is sent."""
        return self.directory / "audit.log"

    def kubectl(
        self,
        *args: str,
        input: str | dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        kubeconfig: Path | None = None,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the cluster-admin, or as the user of `kubeconfig`; objects given as `input` become JSON.

        With `check`, a failure raises and shows what kubectl said.
        """
        if input is not None and not isinstance(input, str):
            # JSON: YAML libraries do not agree on which strings need quotes ("08", "1e3").
            input = "\n---\n".join(json.dumps(each) for each in ([input] if isinstance(input, dict) else input))
        done = subprocess.run(
            [tool("kubectl"), "--kubeconfig", str(kubeconfig or self.kubeconfig), *args],
            input=input,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "KUBECACHEDIR": str(self.directory / "kube-cache")},
        )
        if check and done.returncode:
            raise KubectlError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done

    def get(self, *args: str) -> dict[str, Any]:
        """`kubectl get ARGS -o json`, parsed. A failure raises."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *args, "-o", "json", check=True).stdout)
        return found

    def apply(self, *objects: dict[str, Any]) -> None:
        """Server-side apply as the cluster-admin. A failure raises."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=objects, check=True)

    def namespace(self, prefix: str = "test", labels: dict[str, str] | None = None) -> str:
        """Make a namespace with a name of its own; returns the name."""
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}})
        return name

    def service_account(self, namespace: str, name: str) -> str:
        """Make a ServiceAccount (it may do nothing until a test binds it to a role); returns its audit user name."""
        self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}})
        return f"system:serviceaccount:{namespace}:{name}"

    def token(self, namespace: str, name: str, audience: str = ISSUER, seconds: int = 3600) -> str:
        """A token of that ServiceAccount, by the TokenRequest API, for this audience."""
        arguments = ("--audience", audience, "--duration", f"{seconds}s")
        return self.kubectl("-n", namespace, "create", "token", name, *arguments, check=True).stdout.strip()

    def kubeconfig_of(self, namespace: str, name: str) -> Path:
        """A kubeconfig of that ServiceAccount."""
        user = {"token": self.token(namespace, name)}
        return _write_kubeconfig(self.directory / f"{namespace}.{name}.kubeconfig", self.server, self.ca_file, user)

    def audit_position(self) -> int:
        """A mark in the log: what is logged later comes after it."""
        return self.audit_log.stat().st_size

    def audit_events(self, after: int = 0) -> list[AuditEvent]:
        """Requests that finished after the mark, oldest first; an open watch is not one of them."""
        with self.audit_log.open("rb") as log:
            log.seek(after)
            whole, _, _ = log.read().rpartition(b"\n")
        return [AuditEvent.parse(line) for line in whole.decode().splitlines()]

    def writes(self, user: str, after: int = 0) -> list[AuditEvent]:
        """What that user wrote, or tried to write, after the mark. Kubernetes Events are not counted."""
        events = self.audit_events(after)
        return [each for each in events if each.is_write and each.user == user and each.resource != "events"]

    def stop(self) -> None:
        """Kill the processes, youngest first. The API server would wait for its open watches, and nothing is kept."""
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        self.processes.clear()


def _write_kubeconfig(path: Path, server: str, ca_file: Path, user: dict[str, str]) -> Path:
    """A kubeconfig with one cluster and one user, readable by its owner alone."""
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca_file.read_bytes()).decode()}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def _start(plane: ControlPlane, name: str, *arguments: str) -> None:
    """Start a program of the control plane, its output in a log; it ends with the test process, however that ends."""
    log = (plane.directory / f"{name}.log").open("wb")
    with log:
        command = ["setpriv", "--pdeathsig", "KILL", str(tool(name)), *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    plane.processes.append(process)


def _start_etcd(plane: ControlPlane, client_port: int, peer_port: int) -> None:
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    _start(
        plane,
        "etcd",
        f"--data-dir={plane.directory / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--log-level=warn",
    )


def _start_apiserver(plane: ControlPlane, port: int, etcd_port: int, authority: Authority) -> None:
    keys = plane.directory / "keys"
    serving = authority.issue("kube-apiserver", server=True).write(keys, "apiserver")
    (keys / "sa.key").write_bytes(rsa_key())
    policy = plane.directory / "audit-policy.yaml"
    policy.write_text(yaml.safe_dump(_AUDIT_POLICY))
    plane.audit_log.touch()
    _start(
        plane,
        "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={plane.ca_file}",
        "--authorization-mode=RBAC",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={keys / 'sa.key'}",
        f"--service-account-signing-key-file={keys / 'sa.key'}",
        f"--api-audiences={ISSUER}",
        "--service-cluster-ip-range=10.96.0.0/16",
        # No controller makes the `default` ServiceAccount here, so pods could not be created with this plugin on.
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={plane.audit_log}",
        "--audit-log-mode=blocking",
        "--shutdown-delay-duration=0s",
    )


def _ready(plane: ControlPlane, port: int, context: ssl.SSLContext) -> str:
    """Empty when the API server says that it is ready, else what it says."""
    for process in plane.processes:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} exited with {process.returncode}")
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/readyz?verbose")
            answer = connection.getresponse()
            return "" if answer.status == 200 else answer.read().decode()
        except OSError as error:
            return str(error)


def _await_ready(plane: ControlPlane, port: int, admin: Pair) -> None:
    context = ssl.create_default_context(cafile=str(plane.ca_file))
    context.load_cert_chain(admin.certificate, admin.key)
    limit = time.monotonic() + BOOT_LIMIT
    while said := _ready(plane, port, context):
        if time.monotonic() > limit:
            raise TimeoutError(f"the API server is not ready after {BOOT_LIMIT:.0f} s: {said}")
        time.sleep(0.1)  # the interval of the poll; the condition is awaited by the loop


def _boot(directory: Path) -> ControlPlane:
    api_port, etcd_port, peer_port = free_ports(3)
    keys = directory / "keys"
    keys.mkdir(mode=0o700)
    authority = Authority.create("berth-component-tests")
    ca_file = directory / "ca.crt"
    ca_file.write_bytes(authority.certificate_pem)
    pair = authority.issue("admin", organization="system:masters").write(keys, "admin")
    server = f"https://127.0.0.1:{api_port}"
    user = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
    kubeconfig = _write_kubeconfig(directory / "admin.kubeconfig", server, ca_file, user)
    plane = ControlPlane(directory=directory, server=server, kubeconfig=kubeconfig, ca_file=ca_file)
    try:
        _start_etcd(plane, etcd_port, peer_port)
        _start_apiserver(plane, api_port, etcd_port, authority)
        _await_ready(plane, api_port, pair)
    except BaseException:
        plane.stop()
        raise
    return plane


def _last_lines(directory: Path) -> str:
    logs = sorted(directory.glob("*.log"))
    return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-15:]) for log in logs)


@contextlib.contextmanager
def running(directory: Path) -> Iterator[ControlPlane]:
    """A control plane with its data in `directory`, stopped and its data removed at the end."""
    try:
        plane = _boot(directory)
    except Exception as error:
        raise RuntimeError(f"the control plane did not start: {error}\n{_last_lines(directory)}") from error
    try:
        yield plane
    finally:
        plane.stop()
        shutil.rmtree(directory / "etcd", ignore_errors=True)
