"""Keys, certificates and kubeconfigs of the node: one CA, made anew at every boot with openssl."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.settings import API_SERVICE_IP, API_URL, DOMAIN, NODE, NODE_IP, ClusterError, Settings

CONFIG = """[req]
distinguished_name = name
prompt = no
[name]
CN = unused
"""
DAYS = "365"


@dataclass(frozen=True)
class Identity:
    """One key and certificate; `kubeconfig` for a client of the API server."""

    file: str
    subject: str
    names: Sequence[str] = ()
    kubeconfig: bool = True


API_NAMES = (
    "DNS:kubernetes",
    "DNS:kubernetes.default",
    "DNS:kubernetes.default.svc",
    f"DNS:kubernetes.default.svc.{DOMAIN}",
    "DNS:localhost",
    "IP:127.0.0.1",
    f"IP:{NODE_IP}",
    f"IP:{API_SERVICE_IP}",
)

IDENTITIES = (
    Identity("apiserver", "/CN=kube-apiserver", API_NAMES, kubeconfig=False),
    Identity("apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client", kubeconfig=False),
    Identity("admin", "/O=system:masters/CN=admin"),
    Identity("node-agent", "/O=system:masters/CN=test-node-agent"),
    Identity("kube-controller-manager", "/CN=system:kube-controller-manager"),
    Identity("kube-scheduler", "/CN=system:kube-scheduler"),
    Identity("kube-proxy", "/CN=system:kube-proxy"),
    Identity("kubelet", f"/O=system:nodes/CN=system:node:{NODE}", (f"DNS:{NODE}", f"IP:{NODE_IP}")),
)


def create(settings: Settings) -> None:
    """Write everything under `pki`, and the person's kubeconfig."""
    pki = settings.pki
    pki.mkdir(parents=True, exist_ok=True)
    pki.chmod(0o700)
    (pki / "openssl.cnf").write_text(CONFIG)
    extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
    _openssl(_request(pki, "ca", "/CN=berth-test-cluster", extensions))
    for identity in IDENTITIES:
        _sign(pki, identity)
        if identity.kubeconfig:
            _write_private(pki / f"{identity.file}.kubeconfig", _kubeconfig(pki, identity.file))
    key = pki / "service-accounts.key"
    _openssl(["genrsa", "-out", str(key), "2048"])
    _openssl(["rsa", "-in", str(key), "-pubout", "-out", str(pki / "service-accounts.pub")])
    _write_private(settings.kubeconfig, _kubeconfig(pki, "admin"))


def _request(pki: Path, name: str, subject: str, extensions: Sequence[str]) -> list[str]:
    command = ["req", "-x509", "-config", str(pki / "openssl.cnf"), "-newkey", "ec"]
    command += ["-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS, "-subj", subject]
    command += ["-keyout", str(pki / f"{name}.key"), "-out", str(pki / f"{name}.crt")]
    for extension in extensions:
        command += ["-addext", extension]
    return command


def _sign(pki: Path, identity: Identity) -> None:
    extensions = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=clientAuth,serverAuth"]
    if identity.names:
        extensions.append(f"subjectAltName={','.join(identity.names)}")
    signed_by = ["-CA", str(pki / "ca.crt"), "-CAkey", str(pki / "ca.key")]
    _openssl([*_request(pki, identity.file, identity.subject, extensions), *signed_by])


def _openssl(arguments: Sequence[str]) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise ClusterError(f"`openssl {arguments[0]}` failed: {done.stderr.strip()[-500:]}")


def _kubeconfig(pki: Path, name: str) -> str:
    def encoded(file: str) -> str:
        return base64.b64encode((pki / file).read_bytes()).decode()

    cluster = {"server": API_URL, "certificate-authority-data": encoded("ca.crt")}
    user = {"client-certificate-data": encoded(f"{name}.crt"), "client-key-data": encoded(f"{name}.key")}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "berth-test", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "berth-test", "context": {"cluster": "berth-test", "user": name}}],
            "current-context": "berth-test",
        },
        indent=1,
    )


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
