"""The identity providers that e2e/values.yaml names: an OpenID provider on the node, behind a Service of the cluster,
and the cluster itself, for ServiceAccount tokens of an audience of their own."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from e2e.suite.world import SYSTEM, Cluster, eventually

NAMESPACE = "identity"
HOST = f"issuer.{NAMESPACE}.svc.cluster.local"
ISSUER = f"https://{HOST}/"
AWAY = f"away.{NAMESPACE}.svc.cluster.local"
PREFIX = "idp:"
CLUSTER_AUDIENCE = "image-builds"
CLUSTER_PREFIX = "cluster:"
RESEARCHER = "test-user@localhost"
"""Subject `id1`, in the group `lab-42`."""
GUEST = "test-user2"
"""Subject `id2`, in no group."""
_PASSWORD = "verysecure"
_PORT = 9998
MOUNTED_SECONDS = 150
_BROWSER = Path(__file__).with_name("browser.py")


@dataclass
class Issuer:
    """The provider: where its certificate and key are, and who logs in there."""

    cluster: Cluster
    folder: Path
    process: subprocess.Popen[str] | None = None

    @property
    def certificate(self) -> Path:
        return self.folder / "tls.crt"

    def start(self) -> None:
        """Start it, with a signing key that it never had before, and wait until it answers."""
        files = {"TLS_CERT": str(self.certificate), "TLS_KEY": str(self.folder / "tls.key")}
        # It ends with the command that waits for it outside of the namespaces, whatever ends that.
        words = ("setpriv", "--pdeathsig", "KILL", "oidc-provider")
        self.process = self.cluster.start(*words, env={"PORT": str(_PORT), "ISSUER": ISSUER, **files})
        url = f"{ISSUER}.well-known/openid-configuration"
        request = ("curl", "--fail", "--silent", "--show-error", "--cacert", str(self.certificate), url)
        eventually(lambda: self.cluster.run(*request).must(), "the provider answers")

    def stop(self) -> None:
        """End it, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def log_in(self, user: str, *scopes: str) -> str:
        """The access token of a login with these scopes of the registry."""
        wanted = ("openid", *(f"registry:{scope}" for scope in scopes))
        words = (sys.executable, "-I", str(_BROWSER), ISSUER, str(self.certificate), user, *wanted)
        return self.cluster.run(*words, stdin=f"{_PASSWORD}\n").must().out.strip()


def set_up(cluster: Cluster, folder: Path) -> Issuer:
    """Give the provider its name in the cluster, and the registry its certificate."""
    issuer = Issuer(cluster, folder)
    _write_certificate(issuer.certificate, folder / "tls.key")
    found = cluster.kubectl("get", "nodes", "--output=jsonpath={.items[0].status.addresses[0].address}").must()
    meta = {"name": "issuer", "namespace": NAMESPACE}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 443}]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": "issuer"}},
            "addressType": "IPv4",
            "ports": [{"port": _PORT}],
            "endpoints": [{"addresses": [found.out.strip()]}],
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "identity-ca", "namespace": SYSTEM},
            "stringData": {"ca.crt": issuer.certificate.read_text()},
        },
    )
    _await_mounted(cluster, issuer.certificate.read_text())
    return issuer


def remove(cluster: Cluster) -> None:
    """Take its name and the registry's trust back."""
    cluster.kubectl("delete", "secret", "identity-ca", f"--namespace={SYSTEM}", "--ignore-not-found").must()
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found").must()


@contextmanager
def cluster_issuer(cluster: Cluster) -> Iterator[None]:
    """Make the API server's own discovery document and keys public, as its use as a provider requires."""
    name = f"issuer-discovery-{secrets.token_hex(3)}"
    role = "--clusterrole=system:service-account-issuer-discovery"
    cluster.kubectl("create", "clusterrolebinding", name, role, "--group=system:unauthenticated").must()
    try:
        yield
    finally:
        cluster.kubectl("delete", "clusterrolebinding", name, "--ignore-not-found").must()


def _await_mounted(cluster: Cluster, certificate: str) -> None:
    """Wait until each Pod of access has the new Secret; a change of the Pod makes the kubelet look at once."""
    where, chosen = f"--namespace={SYSTEM}", "--selector=app.kubernetes.io/component=access"
    stamp = f"berth.test/mounted={datetime.now(UTC).timestamp()}"
    cluster.kubectl("annotate", "pods", where, chosen, "--overwrite", stamp).must()
    listed = json.loads(cluster.kubectl("get", "pods", where, chosen, "--output=json").must().out)["items"]
    for name in (p["metadata"]["name"] for p in listed if "deletionTimestamp" not in p["metadata"]):
        eventually(partial(_has, cluster, name, certificate), f"Pod {name} has the certificate", MOUNTED_SECONDS)


def _has(cluster: Cluster, pod: str, certificate: str) -> bool:
    read = "print(open('/etc/berth/oidc-ca/ca.crt').read(), end='')"
    return cluster.kubectl("exec", pod, f"--namespace={SYSTEM}", "--", "python3", "-c", read).out == certificate


def _write_certificate(certificate: Path, key_file: Path) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "identity provider of the tests")])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
