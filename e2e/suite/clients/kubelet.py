"""The kubelet: a Pod with a pull secret; the result is read from the Pod's events and the image id of its container."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from e2e.suite.clients.client import Ability, Outcome, Reference, Refusals, Seat, last_digest
from e2e.suite.content import Kind
from e2e.suite.pods import image_pod
from e2e.suite.world import Cluster, Result, eventually

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
        ),
        notes=(
            "The status of the container has the same text, after `Back-off pulling image`.",
            "A Pod with a revoked pull secret gets this message. If the node already has the image, "
            "the kubelet sends a request only with `imagePullPolicy: Always`.",
        ),
    )
    refused_status = refusals.pull.replace("Failed to pull image", "Back-off pulling image").replace(
        '"{ref}": ', '"{ref}": ErrImagePull: ', 1
    )

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        with _pulling(seat, reference) as pod:
            message, ok = await_verdict(seat.cluster, NAMESPACE, pod)
            image = eventually(lambda: _image(seat, pod), f"{reference} runs", seconds=60) if ok else ""
        return Outcome(Result(("kubelet", str(reference)), 0 if ok else 1, message, ""), last_digest(image))

    def waits(self, seat: Seat, reference: Reference) -> Outcome:
        """What the status of the container says, once the kubelet has given up for now (`kubectl describe pod`)."""
        with _pulling(seat, reference) as pod:
            waiting = eventually(lambda: _backing_off(seat, pod), f"the kubelet backs off from {reference}", seconds=60)
        return Outcome(Result(("kubelet", str(reference)), 1, waiting, ""))


@contextmanager
def _pulling(seat: Seat, reference: Reference) -> Iterator[str]:
    """A Pod that wants the image, and its pull secret; both are gone afterwards."""
    name = f"pull-{secrets.token_hex(4)}"
    logins = [] if seat.anonymous else [{"name": name}]
    seat.cluster.apply(
        _namespace(), _login(seat, name), image_pod(NAMESPACE, name, str(reference), imagePullSecrets=logins)
    )
    try:
        yield name
    finally:
        gone = (f"pod/{name}", f"secret/{name}", f"--namespace={NAMESPACE}", "--now", "--wait=false")
        seat.cluster.kubectl("delete", *gone).must()


def await_verdict(cluster: Cluster, namespace: str, pod: str) -> tuple[str, bool]:
    """The message of the event that ends the pull of a Pod with one image, and whether it is good news."""
    message, good = eventually(lambda: _verdict(cluster, namespace, pod), f"the kubelet pulls for {pod}", seconds=60)
    return str(message), bool(good)


def _verdict(cluster: Cluster, namespace: str, pod: str) -> tuple[str, bool] | None:
    """None while the pull goes on."""
    chosen = f"--field-selector=involvedObject.name={pod}"
    events = cluster.kubectl("get", "events", f"--namespace={namespace}", chosen, "--output=json").must().out
    for event in json.loads(events)["items"]:
        pulled, message = event["reason"] == "Pulled", str(event["message"])
        if pulled or message.startswith("Failed to pull image"):
            return message, pulled
    return None


def _containers(seat: Seat, pod: str) -> list[dict[str, Any]]:
    return list((seat.cluster.get("pod", pod, NAMESPACE) or {}).get("status", {}).get("containerStatuses", []))


def _image(seat: Seat, pod: str) -> str:
    """The image id of the container, once it runs."""
    running = [c for c in _containers(seat, pod) if "running" in c["state"]]
    return str(running[0]["imageID"]) if running else ""


def _backing_off(seat: Seat, pod: str) -> str:
    """What the container waits for, once that is the next try."""
    waiting = [c["state"].get("waiting", {}) for c in _containers(seat, pod)]
    return next((str(w["message"]) for w in waiting if w.get("reason") == "ImagePullBackOff"), "")


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
