"""The cluster's public keys, with which Berth's processes verify each other's ServiceAccount tokens."""

from __future__ import annotations

from berth.identity.service_account import cluster_keys
from berth.kube.client import KubeClient
from tests.kit.control_plane import ControlPlane


async def test_the_keys_and_the_issuer_are_read_from_a_real_api_server(control_plane: ControlPlane) -> None:
    async with KubeClient.connect(control_plane.kubeconfig) as client:
        document = await cluster_keys(client.raw_get)()
    assert document["issuer"]
    assert document["keys"]
    assert document["keys"][0]["kid"]
