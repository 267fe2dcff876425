"""The configuration files of the node's components."""

from __future__ import annotations

import json
from typing import Any

from node.settings import DNS_IP, DOMAIN, NODE, NODE_IP, POD_NET, Settings

PAUSE_IMAGE = "localhost/pause:1"


def write_all(settings: Settings) -> None:
    """Write every file under `conf`, and what clients find in /etc."""
    conf = settings.conf
    conf.mkdir(parents=True, exist_ok=True)
    documents: dict[str, Any] = {
        "audit.json": audit_policy(),
        "kubelet.json": kubelet(settings),
        "kube-proxy.json": kube_proxy(settings),
    }
    for name, document in documents.items():
        (conf / name).write_text(json.dumps(document, indent=1))
    (conf / "containerd.toml").write_text(containerd(settings))
    cni = conf / "cni"
    cni.mkdir(exist_ok=True)
    (cni / "10-berth-test.conflist").write_text(json.dumps(pod_network(), indent=1))


def audit_policy() -> Any:
    """Every request, at the level of metadata, when it is answered: tests count writes in it."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{"level": "Metadata"}],
    }


def kubelet(settings: Settings) -> Any:
    pki = settings.pki
    nearly_full = dict.fromkeys(("nodefs.available", "nodefs.inodesFree", "imagefs.available"), "1%")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_IP,
        "authentication": {"x509": {"clientCAFile": str(pki / "ca.crt")}, "anonymous": {"enabled": False}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{settings.containerd_socket}",
        "clusterDNS": [DNS_IP],
        "clusterDomain": DOMAIN,
        "resolvConf": "",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "serializeImagePulls": False,
        "evictionHard": {"memory.available": "100Mi", **nearly_full},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    }


def kube_proxy(settings: Settings) -> Any:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(settings.pki / "kube-proxy.kubeconfig")},
        "clusterCIDR": POD_NET,
        "hostnameOverride": NODE,
        "bindAddress": NODE_IP,
        "conntrack": {"maxPerCore": 0, "min": 0},
        "nftables": {"minSyncPeriod": "100ms"},
    }


def pod_network() -> Any:
    """`ptp`, not a bridge: every packet of a pod passes the forward hook, where policies are enforced."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": POD_NET}]], "routes": [{"dst": "0.0.0.0/0"}]}
    return {
        "cniVersion": "1.0.0",
        "name": "berth-test",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }


def containerd(settings: Settings) -> str:
    data = settings.data / "containerd"
    return f"""version = 3
root = "{data}"
state = "/run/node/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
  address = "{settings.containerd_socket}"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{PAUSE_IMAGE}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{settings.trust / "containerd"}"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{settings.conf / "cni"}"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "/usr/sbin/runc"
        SystemdCgroup = false
"""
