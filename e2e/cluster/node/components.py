"""The table of the node's components: the command of each, and when it is ready."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from node.api import Api, ApiError
from node.process import Component
from node.settings import API_PORT, DOMAIN, NODE, NODE_IP, POD_NET, SERVICE_NET, Settings

ETCD_URL = "http://127.0.0.1:2379"
ISSUER = f"https://kubernetes.default.svc.{DOMAIN}"


def answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        connection.connect(str(path))
    return True


def etcd(settings: Settings) -> Component:
    command = [
        settings.program("etcd"),
        f"--data-dir={settings.data / 'etcd' / 'member'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=default=http://127.0.0.1:2380",
        "--auto-compaction-retention=10m",
        "--quota-backend-bytes=1000000000",
        "--log-level=warn",
    ]
    return Component("etcd", command, lambda: answers(f"{ETCD_URL}/health"), limit=20)


def containerd(settings: Settings) -> Component:
    command = [settings.program("containerd"), "--config", str(settings.conf / "containerd.toml")]
    return Component("containerd", command, lambda: listens(settings.containerd_socket), limit=20)


def kube_apiserver(settings: Settings) -> Component:
    pki = settings.pki
    command = [
        settings.program("kube-apiserver"),
        f"--etcd-servers={ETCD_URL}",
        f"--advertise-address={NODE_IP}",
        f"--secure-port={API_PORT}",
        f"--service-cluster-ip-range={SERVICE_NET}",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
        f"--audit-policy-file={settings.conf / 'audit.json'}",
        f"--audit-log-path={settings.audit_log}",
        "--audit-log-mode=blocking",
        "--profiling=false",
    ]
    return Component("kube-apiserver", command, lambda: bool(Api(settings).get("/readyz")), limit=60)


def kube_controller_manager(settings: Settings) -> Component:
    pki = settings.pki
    kubeconfig = pki / "kube-controller-manager.kubeconfig"
    command = [
        settings.program("kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--use-service-account-credentials=true",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--service-account-private-key-file={pki / 'service-accounts.key'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        f"--cluster-cidr={POD_NET}",
        # A claim whose class appears later is looked at again by this period alone; 15 s by default.
        "--pvclaimbinder-sync-period=1s",
    ]
    return Component("kube-controller-manager", command, lambda: _accepts(10257))


def kube_scheduler(settings: Settings) -> Component:
    kubeconfig = settings.pki / "kube-scheduler.kubeconfig"
    command = [
        settings.program("kube-scheduler"),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]
    return Component("kube-scheduler", command, lambda: _accepts(10259))


def kubelet(settings: Settings) -> Component:
    command = [
        settings.program("kubelet"),
        f"--config={settings.conf / 'kubelet.json'}",
        f"--kubeconfig={settings.pki / 'kubelet.kubeconfig'}",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_IP}",
        "--root-dir=/var/lib/kubelet",
        "--cert-dir=/var/lib/kubelet/pki",
    ]
    return Component("kubelet", command, lambda: node_ready(settings))


def kube_proxy(settings: Settings) -> Component:
    command = [settings.program("kube-proxy"), f"--config={settings.conf / 'kube-proxy.json'}"]
    return Component("kube-proxy", command, lambda: answers(f"http://{NODE_IP}:10256/healthz"))


def node_agent(settings: Settings) -> Component:
    main = Path(__file__).resolve().parent.parent / "nodectl.py"
    command = ["/usr/bin/env", "python3", "-u", str(main), "agent"]
    environment = {
        "BERTH_CLUSTER": str(settings.state),
        "BERTH_TOOLS": str(settings.tools),
        "BERTH_HOST": settings.host,
    }
    ready = settings.state / "agent-ready"
    return Component("node-agent", command, ready.exists, limit=20, environment=environment)


def _accepts(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def node_ready(settings: Settings) -> bool:
    try:
        node = Api(settings).get(f"/api/v1/nodes/{NODE}")
    except ApiError:
        return False
    conditions = node.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


TABLE = {
    "etcd": etcd,
    "containerd": containerd,
    "kube-apiserver": kube_apiserver,
    "kube-controller-manager": kube_controller_manager,
    "kube-scheduler": kube_scheduler,
    "kubelet": kubelet,
    "kube-proxy": kube_proxy,
    "node-agent": node_agent,
}
CORE: Sequence[str] = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "node-agent")


def component(settings: Settings, name: str) -> Component:
    """The component of a name; KeyError if there is none."""
    return TABLE[name](settings)
