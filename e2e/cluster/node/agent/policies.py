"""NetworkPolicies become nft rules: pure functions from objects to the text of one table.

Every packet between pods passes the forward hook, every packet from a pod to the node the input hook. What
the node itself sends to a pod (the kubelet's probes, commands that run on the node) is not judged, as on other
clusters.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.agent.selectors import matches
from node.api import Object

TABLE = "inet berth_test_policy"
PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}


@dataclass(frozen=True)
class World:
    """What policies are judged against."""

    policies: Sequence[Object]
    pods: Sequence[Object]
    namespaces: Sequence[Object]

    def judged_pods(self) -> list[Object]:
        """Pods with an address of their own that still run; of two with one address, the younger."""
        found: dict[str, Object] = {}
        for pod in sorted(self.pods, key=lambda one: str(one["metadata"]["creationTimestamp"])):
            if _address(pod) and not pod["spec"].get("hostNetwork") and not _ended(pod):
                found[_address(pod)] = pod
        return list(found.values())


def _address(pod: Object) -> str:
    return str(pod.get("status", {}).get("podIP") or "")


def _ended(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def _labels(thing: Object) -> Mapping[str, str]:
    return thing["metadata"].get("labels") or {}


def ruleset(world: World) -> str:
    """The whole table, ready for `nft -f`; replaces the one before in one step."""
    chains: list[str] = []
    jumps: dict[str, list[str]] = {"Ingress": [], "Egress": []}
    for number, pod in enumerate(world.judged_pods()):
        for direction, entries in jumps.items():
            policies = [one for one in world.policies if _isolates(one, pod, direction)]
            if policies:
                name = f"{direction.lower()}_{number}"
                entries.append(f"{_address(pod)} : jump {name}")
                rules = [rule for one in policies for rule in _rules(world, one, pod, direction)]
                chains.append(_chain(name, rules))
    egress, ingress = _jump("saddr", jumps["Egress"]), _jump("daddr", jumps["Ingress"])
    hooks = _hook("forward", [egress, ingress]) + _hook("input", [egress])
    return f"table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n{''.join(chains)}{hooks}}}\n"


def _jump(side: str, entries: Sequence[str]) -> str:
    return f"ip {side} vmap {{ {', '.join(entries)} }}" if entries else ""


def _hook(name: str, rules: Iterable[str]) -> str:
    head = f"type filter hook {name} priority filter; policy accept;"
    return _chain(name, [head, "ct state established,related accept", *filter(None, rules)], end="")


def _chain(name: str, rules: Sequence[str], end: str = "drop") -> str:
    lines = [*rules, end] if end else list(rules)
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _isolates(policy: Object, pod: Object, direction: str) -> bool:
    spec = policy["spec"]
    if policy["metadata"]["namespace"] != pod["metadata"]["namespace"]:
        return False
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if "egress" in spec else ["Ingress"])
    return direction in types and matches(spec.get("podSelector") or {}, _labels(pod))


def _rules(world: World, policy: Object, pod: Object, direction: str) -> list[str]:
    """What the policy lets through; `return` goes on to the judgement of the other end."""
    incoming = direction == "Ingress"
    allowed = policy["spec"].get("ingress" if incoming else "egress") or []
    rules = []
    for entry in allowed:
        peers = entry.get("from" if incoming else "to")
        side = "saddr" if incoming else "daddr"
        anyone = [Peer("", None)]
        for one in [one for peer in peers for one in _peers(world, policy, peer, side)] if peers else anyone:
            target = pod if incoming else one.pod
            where = [one.match] if one.match else []
            for port in _ports(entry.get("ports"), target):
                rules.append(" ".join([*where, *port, "return"]))
    return rules


@dataclass(frozen=True)
class Peer:
    """One end that is let through: what its address must match, and the pod, if it is one."""

    match: str
    pod: Object | None


def _peers(world: World, policy: Object, peer: Mapping[str, Any], side: str) -> list[Peer]:
    block = peer.get("ipBlock")
    if block:
        excluded = "".join(f" ip {side} != {one}" for one in block.get("except") or [])
        return [] if ":" in block["cidr"] else [Peer(f"ip {side} {block['cidr']}{excluded}", None)]
    spaces = {policy["metadata"]["namespace"]}
    if "namespaceSelector" in peer:
        chosen = peer["namespaceSelector"] or {}
        spaces = {one["metadata"]["name"] for one in world.namespaces if matches(chosen, _labels(one))}
    return [
        Peer(f"ip {side} {_address(pod)}", pod)
        for pod in world.judged_pods()
        if pod["metadata"]["namespace"] in spaces and matches(peer.get("podSelector") or {}, _labels(pod))
    ]


def _ports(ports: Sequence[Mapping[str, Any]] | None, target: Object | None) -> list[list[str]]:
    """The matches of a rule's ports; a named port is looked up in the pod that receives."""
    if not ports:
        return [[]]
    found = []
    for port in ports:
        protocol = PROTOCOLS[port.get("protocol", "TCP")]
        number = port.get("port")
        if number is None:
            found.append([f"meta l4proto {protocol}"])
        elif isinstance(number, str):
            found += [[f"{protocol} dport {one}"] for one in _named(target, number)]
        else:
            last = port.get("endPort")
            found.append([f"{protocol} dport {number}-{last}" if last else f"{protocol} dport {number}"])
    return found


def _named(pod: Object | None, name: str) -> list[int]:
    containers = (pod or {}).get("spec", {}).get("containers", [])
    return [port["containerPort"] for one in containers for port in one.get("ports") or [] if port.get("name") == name]


class Enforcer:
    """Keeps the kernel's table equal to what the objects ask for."""

    def __init__(self) -> None:
        self._loaded = ""

    def enforce(self, world: World) -> None:
        """Load the table, if it differs from the one that is loaded."""
        text = ruleset(world)
        if text != self._loaded:
            subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True, timeout=20)
            self._loaded = text
