"""Pull secrets: a robot for each namespace, its tokens, and the Secret with the newest token. Pure.

Only the Secret in the namespace contains a token; the `AccessToken` contains its SHA-256.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from berth.api import names
from berth.api.base import rfc3339
from berth.api.project import Project, PullSecret
from berth.api.token import AccessToken
from berth.desired.labels import Labelling, child_labels

SECRET_TYPE: Final = "kubernetes.io/dockerconfigjson"
SECRET_KEY: Final = ".dockerconfigjson"
COMPONENT: Final = "pull-secret"
ANNOTATION_SERVICE_ACCOUNTS: Final = f"{names.GROUP}/service-accounts"
"""On the robot: the ServiceAccounts that use the Secret, separated by commas, so that it can be removed from them."""
OVERLAP: Final = 2
"""Rotation intervals in a token's life, so that a late rotation or an outage of the operator breaks no pull."""


@dataclass(frozen=True, slots=True)
class PullTarget:
    """One namespace that pulls from one project."""

    project_id: str
    namespace: str
    service_accounts: tuple[str, ...] = ()

    @classmethod
    def from_entry(cls, project: Project, entry: PullSecret) -> PullTarget:
        """The target of an entry of `spec.pullSecrets`."""
        return cls(project.project_id, entry.namespace, tuple(sorted(entry.service_accounts)))

    @property
    def robot(self) -> str:
        """Name of its RegistryUser."""
        return names.pull_robot_name(self.project_id, self.namespace)

    @property
    def secret(self) -> str:
        """Name of the Secret."""
        return names.pull_secret_name(self.project_id)


@dataclass(frozen=True, slots=True)
class PullToken:
    """A token of a robot."""

    name: str
    sha256: str
    created: datetime
    expires_at: datetime
    request: str = ""  # the value of the Project's annotation that it was made for
    used: bool = False

    @property
    def number(self) -> int:
        """Its sequence number among the robot's tokens."""
        number = self.name.rpartition(".")[2]
        return int(number) if number.isdecimal() else 0


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """What to do with the tokens of one robot."""

    current: PullToken | None  # the one for the Secret; None: create one
    remove: tuple[str, ...]  # names of tokens that are no longer needed
    due: datetime | None = None  # when a new one is due, or an earlier one expires; None: now
    next_number: int = 1


def plan_rotation(
    tokens: Iterable[PullToken], *, request: str, interval: timedelta, now: datetime, held: str | None
) -> RotationPlan:
    """Decide which token the Secret needs and which tokens to remove.

    `held` is the SHA-256 of the token in the Secret: empty when it has none, None when the Secret was not read. A token
    that is in no Secret is lost, because only its hash is stored. Earlier tokens are removed once the current one was
    used, or when they expire.
    """
    ordered = sorted(tokens, key=lambda token: token.number)
    number = ordered[-1].number + 1 if ordered else 1
    expired = tuple(token.name for token in ordered if now >= token.expires_at)
    current = ordered[-1] if ordered and ordered[-1].name not in expired else None
    if current is None or (held is not None and held != current.sha256) or (request and request != current.request):
        return RotationPlan(None, expired, next_number=number)
    due = current.created + min(interval, (current.expires_at - current.created) / OVERLAP)
    if now >= due:
        return RotationPlan(None, expired, next_number=number)
    removed = tuple(token.name for token in ordered[:-1]) if current.used else expired
    ends = (token.expires_at for token in ordered[:-1] if token.name not in removed)
    return RotationPlan(current, removed, min((due, *ends)), number)


def read_pull_token(live: Mapping[str, Any]) -> PullToken | None:
    """Read a token; None without an expiry or creation time: Berth creates no such token."""
    token = AccessToken.model_validate(live)
    created, end = token.metadata.creation_timestamp, token.spec.expires_at
    if created is None or end is None:
        return None
    return PullToken(
        name=token.metadata.name,
        sha256=token.spec.sha256,
        created=created,
        expires_at=end,
        request=token.metadata.annotations.get(names.ANNOTATION_ROTATE_PULL_SECRETS, ""),
        used=token.status.last_used is not None,
    )


def build_robot(target: PullTarget, inputs: Labelling) -> dict[str, Any]:
    """The RegistryUser. `spec.disabled` is left to users, who may disable it."""
    robot = _object("RegistryUser", target.robot, target, inputs)
    robot["metadata"]["annotations"] = {ANNOTATION_SERVICE_ACCOUNTS: ",".join(target.service_accounts)}
    title = f"Pull secret of namespace {target.namespace} for {target.project_id}"
    return {**robot, "spec": {"type": "Robot", "displayName": title[:100]}}


def build_token(
    target: PullTarget, number: int, sha256: str, expires_at: datetime, request: str, inputs: Labelling
) -> dict[str, Any]:
    """The robot's AccessToken, with scope `download` only."""
    token = _object("AccessToken", f"{target.robot}.{number}", target, inputs)
    if request:
        token["metadata"]["annotations"] = {names.ANNOTATION_ROTATE_PULL_SECRETS: request}
    spec = {
        "owner": {"kind": "Robot", "name": target.robot},
        "scopes": ["download"],
        "sha256": sha256,
        "expiresAt": rfc3339(expires_at),
        "description": f"Secret {target.secret} in namespace {target.namespace}",
    }
    return {**token, "spec": spec}


def build_pull_secret(target: PullTarget, host: str, token: str, inputs: Labelling) -> dict[str, Any]:
    """The Secret, with two logins.

    One is for the project's address, which the kubelet prefers as the longest match, and one for the host, for clients
    that support only hosts.
    """
    login = {
        "username": target.robot,
        "password": token,
        "auth": base64.b64encode(f"{target.robot}:{token}".encode()).decode(),
    }
    config = {"auths": {f"{host}/{target.project_id}": login, host: login}}
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    secret = _object("Secret", target.secret, target, inputs)
    secret["apiVersion"] = "v1"
    secret["metadata"]["namespace"] = target.namespace
    return {**secret, "type": SECRET_TYPE, "data": {SECRET_KEY: base64.b64encode(text.encode()).decode()}}


def read_pull_secret_token(secret: Mapping[str, Any], target: PullTarget) -> str:
    """The token in a Secret created by Berth; empty when it has none."""
    try:
        config = json.loads(base64.b64decode((secret.get("data") or {}).get(SECRET_KEY, ""), validate=True))
        logins = [login for login in config["auths"].values() if login["username"] == target.robot]
        token = str(logins[0]["password"])
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return ""
    return token if token.isascii() else ""


def is_made_by_berth(live: Mapping[str, Any]) -> bool:
    """Whether the operator created an object, so that it may change or remove it."""
    metadata = live["metadata"]
    labelled = (metadata.get("labels") or {}).get(names.LABEL_MANAGED_BY) == names.FIELD_MANAGER_OPERATOR
    return labelled and names.ANNOTATION_DESIRED_HASH in (metadata.get("annotations") or {})


def read_target(robot: Mapping[str, Any]) -> PullTarget | None:
    """The target of a robot; None for a RegistryUser that is not a robot of a pull secret."""
    metadata = robot["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    project = labels.get(names.LABEL_PROJECT, "")
    namespace = labels.get(names.LABEL_PULL_NAMESPACE, "")
    accounts = tuple(name for name in annotations.get(ANNOTATION_SERVICE_ACCOUNTS, "").split(",") if name)
    target = PullTarget(project, namespace, accounts)
    return target if is_made_by_berth(robot) and metadata["name"] == target.robot else None


def _object(kind: str, name: str, target: PullTarget, inputs: Labelling) -> dict[str, Any]:
    labels = {**child_labels(target.project_id, COMPONENT, inputs), names.LABEL_PULL_NAMESPACE: target.namespace}
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": {"name": name, "labels": labels}}
