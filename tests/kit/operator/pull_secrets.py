"""What tests of pull secrets do and look at: consent, statuses, tokens, logins."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from berth.api import names
from berth.kube.resources import (
    ACCESS_TOKENS,
    PROJECTS,
    SECRETS,
    Manifest,
)
from tests.kit.operator.harness import Cluster
from tests.kit.operator.settings import ACCOUNT, BERTH

ROLE = "berth-pull-secret-writer"


def consent(cluster: Cluster, namespace: str) -> None:
    """What the owner of a namespace runs."""
    arguments = ("create", "rolebinding", ROLE, f"--clusterrole={ROLE}", f"--serviceaccount={BERTH}:{ACCOUNT}")
    cluster.plane.kubectl("-n", namespace, *arguments, check=True)


async def project(cluster: Cluster, name: str, *entries: dict[str, Any]) -> None:
    """Make a project with these `spec.pullSecrets`."""
    await cluster.make_project(name, pullSecrets=list(entries))


async def pull_secret_status(cluster: Cluster, name: str, namespace: str, reason: str) -> dict[str, Any]:
    """Wait until the status of a namespace has a reason."""

    def entry(live: Manifest | None) -> dict[str, Any]:
        found = ((live or {}).get("status") or {}).get("pullSecrets") or ()
        return next((each for each in found if each["namespace"] == namespace), {})

    live = await cluster.until(PROJECTS, name, lambda live: entry(live).get("reason") == reason)
    return entry(live)


def login_of(secret: Manifest) -> dict[str, str]:
    """What a kubelet reads out of a pull secret: the same for every host in it."""
    config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    logins = list(config["auths"].values())
    assert all(login == logins[0] for login in logins)
    found: dict[str, str] = logins[0]
    return found


async def tokens(cluster: Cluster, name: str) -> dict[str, Manifest]:
    """The tokens of a project's robots, by SHA-256."""
    found = await cluster.admin.list(ACCESS_TOKENS, label_selector=f"{names.LABEL_PROJECT}={name}")
    return {each["spec"]["sha256"]: each for each in found}


def held(secret: Manifest) -> str:
    """The SHA-256 of the token in a pull secret."""
    return hashlib.sha256(login_of(secret)["password"].encode()).hexdigest()


async def served(cluster: Cluster, name: str, namespace: str) -> Manifest:
    """Wait until a namespace is served; its pull secret."""
    await pull_secret_status(cluster, name, namespace, "Served")
    return await cluster.get(SECRETS, f"berth-{name}", namespace)


async def made_and_served(cluster: Cluster, name: str, namespace: str) -> Manifest:
    """Make a project with a pull secret for a namespace that has agreed; the Secret, once it is there."""
    consent(cluster, namespace)
    await project(cluster, name, {"namespace": namespace})
    return await served(cluster, name, namespace)


async def rotate(cluster: Cluster, name: str, value: str) -> None:
    """Request new tokens, as a person does."""
    note = {"metadata": {"annotations": {names.ANNOTATION_ROTATE_PULL_SECRETS: value}}}
    await cluster.admin.merge(PROJECTS, ("", name), note, field_manager="owner")


async def use(cluster: Cluster, token: str) -> None:
    """What the access service does at a login with a token."""
    body = {
        "apiVersion": names.API_VERSION,
        "kind": "AccessToken",
        "metadata": {"name": token},
        "status": {"lastUsed": "2026-11-24T12:00:00Z"},
    }
    await cluster.admin.apply(ACCESS_TOKENS, body, field_manager="berth-access", subresource="status")


def changed_from(before: str) -> Callable[[Manifest | None], bool]:
    """Whether a pull secret holds another token than that one (SHA-256)."""
    return lambda live: live is not None and held(live) != before
