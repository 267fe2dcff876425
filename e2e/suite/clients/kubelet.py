"""The kubelet: a Pod with a pull secret, told by the Pod's events and the image id of its container."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from e2e.suite.clients.client import Ability, Outcome, Reference, Refusals, Seat, last_digest
from e2e.suite.content import Kind
from e2e.suite.world import Result, eventually

NAMESPACE = "suite-pods"


@dataclass(frozen=True)
class Kubelet:
    """Only pulls. The outcome of a pull that worked is a Pod that runs the image."""

    name = "kubelet"
    kind = Kind.IMAGE
    engine = ""
    abilities = frozenset({Ability.PULL_INDEX, Ability.DEFAULT_TAG})
    refusals = Refusals(
        pull=(
            'Failed to pull image "{ref}": failed to pull and unpack image "{ref}": failed to resolve image: '
            "unexpected status from HEAD request to https://{host}/v2/{path}/manifests/{version}: 403 Forbidden\n"
            "denied: {sentence}"
        )
    )

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        name = f"pull-{secrets.token_hex(4)}"
        secret = f"login-{seat.person.name}"
        logins = [] if seat.anonymous else [{"name": secret}]
        seat.cluster.apply(_namespace(), _login(seat, secret), _pod(name, str(reference), logins))
        try:
            message, ok = eventually(lambda: _verdict(seat, name), f"the kubelet pulls {reference}", seconds=60)
            image = eventually(lambda: _image(seat, name), f"{reference} runs", seconds=60) if ok else ""
        finally:
            seat.cluster.kubectl("delete", "pod", name, f"--namespace={NAMESPACE}", "--now", "--wait=false").must()
        return Outcome(Result(("kubelet", str(reference)), 0 if ok else 1, message, ""), last_digest(image))


def _verdict(seat: Seat, pod: str) -> tuple[str, bool] | None:
    """The message of the event that ends the pull and whether it is good news, or None while it goes on."""
    chosen = f"--field-selector=involvedObject.name={pod}"
    events = seat.cluster.kubectl("get", "events", f"--namespace={NAMESPACE}", chosen, "--output=json").must().out
    for event in json.loads(events)["items"]:
        pulled, message = event["reason"] == "Pulled", str(event["message"])
        if pulled or message.startswith("Failed to pull image"):
            return message, pulled
    return None


def _image(seat: Seat, pod: str) -> str:
    """The image id of the container, once it runs."""
    status = (seat.cluster.get("pod", pod, NAMESPACE) or {}).get("status", {})
    running = [c for c in status.get("containerStatuses", []) if "running" in c["state"]]
    return str(running[0]["imageID"]) if running else ""


def _namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def _login(seat: Seat, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "stringData": {".dockerconfigjson": seat.person.auth_file.read_text()},
    }


def _pod(name: str, image: str, logins: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "imagePullSecrets": logins,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "pulled", "image": image, "imagePullPolicy": "Always"}],
        },
    }
