"""Services of type LoadBalancer get the node's address, as a cloud provider gives them one."""

from __future__ import annotations

from node.agent.cache import Cache
from node.api import Api
from node.settings import NODE_IP


def assign_addresses(api: Api, services: Cache) -> None:
    """Write the address into the status of every such Service that lacks it."""
    wanted = [{"ip": NODE_IP, "ipMode": "VIP"}]
    for service in services.objects():
        spec, meta = service["spec"], service["metadata"]
        given = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
        if spec.get("type") != "LoadBalancer" or [one.get("ip") for one in given] == [NODE_IP]:
            continue
        path = f"/api/v1/namespaces/{meta['namespace']}/services/{meta['name']}/status"
        services.put(api.merge(path, {"status": {"loadBalancer": {"ingress": wanted}}}))
