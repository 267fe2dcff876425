"""Pull secrets: a robot for each namespace, its tokens, and the Secret with the newest of them. Pure.

The secret of a token is known to nobody but the Secret in the namespace; the `AccessToken` holds its SHA-256.
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
"""On the robot: the ServiceAccounts that were given the Secret, by commas, so that it can be taken from them again."""
OVERLAP: Final = 2
"""A token lives for so many intervals of rotation: a late rotation, or an operator that is down, breaks no pull."""


@dataclass(frozen=True, slots=True)
class PullTarget:
    """One namespace that pulls from one project."""

    project_id: str
    namespace: str
    service_accounts: tuple[str, ...] = ()

    @classmethod
    def of(cls, project: Project, entry: PullSecret) -> PullTarget:
        """The target of one entry of `spec.pullSecrets`."""
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
    """One of the tokens of a robot."""

    name: str
    sha256: str
    created: datetime
    expires_at: datetime
    request: str = ""  # the value of the Project's annotation that it was made for
    used: bool = False

    @property
    def number(self) -> int:
        """Its place in the row of the robot's tokens."""
        number = self.name.rpartition(".")[2]
        return int(number) if number.isdecimal() else 0


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """What to do with the tokens of one robot."""

    current: PullToken | None  # the one that the Secret should hold; None: make one
    remove: tuple[str, ...]  # names of tokens that nobody needs any more
    due: datetime | None = None  # when a new one is due, or an earlier one ends; None: now
    next_number: int = 1


def plan_rotation(
    tokens: Iterable[PullToken], *, request: str, interval: timedelta, now: datetime, held: str | None
) -> RotationPlan:
    """Which token counts and which go.

    `held` is the SHA-256 of what the Secret holds, empty when it holds no token, None when nobody looked. A token that
    stands in no Secret is lost, because only its hash is known. Earlier tokens go when the current one has been seen
    in use, or when they end.
    """
    row = sorted(tokens, key=lambda token: token.number)
    number = row[-1].number + 1 if row else 1
    ended = tuple(token.name for token in row if now >= token.expires_at)
    current = row[-1] if row and row[-1].name not in ended else None
    if current is None or (held is not None and held != current.sha256) or (request and request != current.request):
        return RotationPlan(None, ended, next_number=number)
    due = current.created + min(interval, (current.expires_at - current.created) / OVERLAP)
    if now >= due:
        return RotationPlan(None, ended, next_number=number)
    replaced = tuple(token.name for token in row[:-1]) if current.used else ended
    ends = (token.expires_at for token in row[:-1] if token.name not in replaced)
    return RotationPlan(current, replaced, min((due, *ends)), number)


def read_pull_token(live: Mapping[str, Any]) -> PullToken | None:
    """A token from its object; None for one that ends never, or that has no time of creation: Berth made no such."""
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
    """The RegistryUser. A person may disable it: nothing here says that it is not."""
    made = _object("RegistryUser", target.robot, target, inputs)
    made["metadata"]["annotations"] = {ANNOTATION_SERVICE_ACCOUNTS: ",".join(target.service_accounts)}
    title = f"Pull secret of namespace {target.namespace} for {target.project_id}"
    return {**made, "spec": {"type": "Robot", "displayName": title[:100]}}


def build_token(
    target: PullTarget, number: int, sha256: str, expires_at: datetime, request: str, inputs: Labelling
) -> dict[str, Any]:
    """The AccessToken with which the robot downloads and does nothing else."""
    made = _object("AccessToken", f"{target.robot}.{number}", target, inputs)
    if request:
        made["metadata"]["annotations"] = {names.ANNOTATION_ROTATE_PULL_SECRETS: request}
    spec = {
        "owner": {"kind": "Robot", "name": target.robot},
        "scopes": ["download"],
        "sha256": sha256,
        "expiresAt": rfc3339(expires_at),
        "description": f"Secret {target.secret} in namespace {target.namespace}",
    }
    return {**made, "spec": spec}


def build_pull_secret(target: PullTarget, host: str, token: str, inputs: Labelling) -> dict[str, Any]:
    """The Secret. Its keys are the project's address, for the kubelet, which prefers the longest, and the host alone,
    for clients that know no more."""
    login = {
        "username": target.robot,
        "password": token,
        "auth": base64.b64encode(f"{target.robot}:{token}".encode()).decode(),
    }
    config = {"auths": {f"{host}/{target.project_id}": login, host: login}}
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    made = _object("Secret", target.secret, target, inputs)
    made["apiVersion"] = "v1"
    made["metadata"]["namespace"] = target.namespace
    return {**made, "type": SECRET_TYPE, "data": {SECRET_KEY: base64.b64encode(text.encode()).decode()}}


def held_token(secret: Mapping[str, Any], target: PullTarget) -> str:
    """The token that a Secret of ours holds; empty when there is none to be found in it."""
    try:
        config = json.loads(base64.b64decode((secret.get("data") or {}).get(SECRET_KEY, ""), validate=True))
        logins = [login for login in config["auths"].values() if login["username"] == target.robot]
        token = str(logins[0]["password"])
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return ""
    return token if token.isascii() else ""


def made_by_berth(live: Mapping[str, Any]) -> bool:
    """Whether the operator made an object, so that it may change or remove it."""
    metadata = live["metadata"]
    labelled = (metadata.get("labels") or {}).get(names.LABEL_MANAGED_BY) == names.FIELD_MANAGER_OPERATOR
    return labelled and names.ANNOTATION_DESIRED_HASH in (metadata.get("annotations") or {})


def target_of(robot: Mapping[str, Any]) -> PullTarget | None:
    """The target that a robot was made for; None for a RegistryUser that is no such robot."""
    metadata = robot["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    project = labels.get(names.LABEL_PROJECT, "")
    namespace = labels.get(names.LABEL_PULL_NAMESPACE, "")
    accounts = tuple(name for name in annotations.get(ANNOTATION_SERVICE_ACCOUNTS, "").split(",") if name)
    found = PullTarget(project, namespace, accounts)
    return found if made_by_berth(robot) and metadata["name"] == found.robot else None


def _object(kind: str, name: str, target: PullTarget, inputs: Labelling) -> dict[str, Any]:
    labels = {**child_labels(target.project_id, COMPONENT, inputs), names.LABEL_PULL_NAMESPACE: target.namespace}
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": {"name": name, "labels": labels}}
