"""A project in memory with a pull secret in one namespace, and what tests look at in it."""

from __future__ import annotations

import base64
import json
from typing import Any

from berth.authz.token_format import token_sha256
from berth.kube.errors import ForbiddenError
from berth.kube.resources import (
    ACCESS_TOKENS,
    PROJECTS,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from tests.kit.operator.memory import CONSENT, Operator, manifest, namespace_of

NAMESPACE, SECRET, ROBOT = "analysis", "berth-alpha", "alpha.pull.analysis"
FORBIDDEN = ForbiddenError("Reading Secret was answered with 403: Forbidden.", status=403)


def agree(operator: Operator) -> None:
    """The namespace agrees: the binding, and the rights that it gives."""
    operator.put(manifest(ROLE_BINDINGS, CONSENT, NAMESPACE))
    operator.api.refusals.pop(("get", "Secret", SECRET), None)


def refuse(operator: Operator, *, binding: bool = True) -> None:
    """The namespace takes its consent back."""
    if binding and operator.live(ROLE_BINDINGS, CONSENT, NAMESPACE):
        operator.remove(ROLE_BINDINGS, CONSENT, NAMESPACE)
    operator.api.refusals["get", "Secret", SECRET] = FORBIDDEN


def entries(*accounts: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    return [{"namespace": namespace, **({"serviceAccounts": list(accounts)} if accounts else {})}]


async def served(*accounts: str) -> Operator:
    """A Ready project with a pull secret in a namespace that agreed."""
    operator = Operator()
    operator.put(namespace_of(NAMESPACE))
    agree(operator)
    for account in accounts:
        operator.put(manifest(SERVICE_ACCOUNTS, account, NAMESPACE))
    await operator.ready_project(pullSecrets=entries(*accounts))
    assert entry(operator)["served"]
    return operator


async def reconcile(operator: Operator) -> float | None:
    operator.api.writes.clear()
    operator.api.reads.clear()
    return await operator.reconcile(PROJECTS, "alpha")


def entry(operator: Operator) -> dict[str, Any]:
    """What the status says of the namespace."""
    (found,) = operator.status(PROJECTS, "alpha")["pullSecrets"]
    return dict(found)


def tokens(operator: Operator) -> list[str]:
    return [key[1] for resource, key in operator.api.objects if resource == ACCESS_TOKENS]


def held(operator: Operator) -> str:
    """The SHA-256 of the token in the Secret."""
    secret = operator.live(SECRETS, SECRET, NAMESPACE)
    assert secret is not None
    config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    return token_sha256(config["auths"]["registry.example.org/alpha"]["password"])


def accounts_of(operator: Operator, name: str) -> list[str]:
    """The pull secrets of a ServiceAccount."""
    live = operator.live(SERVICE_ACCOUNTS, name, NAMESPACE)
    assert live is not None
    return [found["name"] for found in live.get("imagePullSecrets") or ()]
