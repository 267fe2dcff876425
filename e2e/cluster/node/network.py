"""The node's links, routes and kernel network settings, inside the network namespace."""

from __future__ import annotations

import subprocess
from pathlib import Path

from node.settings import NODE_IP, NODE_NET, SERVICE_NET

# A bridge and a veth pair stand for the node's network card. There is no default route: what is not here is
# refused at once instead of timing out.
COMMANDS = (
    "link set lo up",
    "link add node0 type bridge",
    "link add node0p type veth peer name node0q",
    "link set node0p master node0",
    "link set node0p up",
    "link set node0q up",
    f"addr add {NODE_IP}/{NODE_NET.partition('/')[2]} dev node0",
    "link set node0 up",
    f"route add {SERVICE_NET} dev node0",
)

SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/route_localnet": "1",
    "net/ipv4/ip_unprivileged_port_start": "0",
}


def set_up() -> None:
    """Bring the node's network up. These kernel settings belong to the namespace and end with it."""
    for name, value in SYSCTLS.items():
        path = Path("/proc/sys", name)
        if path.exists():
            path.write_text(value)
    batch = "\n".join(COMMANDS)
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True, timeout=10)
