"""The tokens of pull secrets: create, rotate, revoke, and write the Secret that holds the current one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from berth.api import names
from berth.authz.token_format import RANDOM_BYTES, make_token, token_sha256
from berth.desired.sharing.pull_secret import (
    OVERLAP,
    PullTarget,
    RotationPlan,
    build_pull_secret,
    build_token,
    is_made_by_berth,
    plan_rotation,
    read_pull_secret_token,
    read_pull_token,
)
from berth.kube.apply import Applier
from berth.kube.client import KubeClient
from berth.kube.drift import desired_hash, find_drift
from berth.kube.errors import ForbiddenError, InvalidError, NotFoundError
from berth.kube.resources import ACCESS_TOKENS, SECRETS, Manifest
from berth.reconcile.watch.caches import Caches
from berth.settings import OperatorSettings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Labels:
    """What the labels of the objects of pull secrets say about the installation."""

    instance: str
    berth_version: str


class Rotation:
    """Rotates the tokens of robots of pull secrets."""

    def __init__(
        self,
        client: KubeClient,
        caches: Caches,
        applier: Applier,
        settings: OperatorSettings,
        labels: Labels,
        *,
        now: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._client = client
        self._caches = caches
        self._applier = applier
        self._host = settings.host
        self._interval = timedelta(seconds=settings.pull_secret_rotation)
        self._labels = labels
        self._now = now
        self._random_bytes = random_bytes

    def tokens(self, target: PullTarget) -> list[Manifest]:
        """The AccessTokens of a target's robot that Berth created."""
        found = self._caches.of_project(ACCESS_TOKENS, target.project_id).values()
        return [
            live
            for live in found
            if is_made_by_berth(live) and live["spec"].get("owner", {}).get("name") == target.robot
        ]

    def plan(self, target: PullTarget, request: str, held: str | None = None) -> RotationPlan:
        """Which token is current and which go.

        `request` is the value of the Project's annotation, `held` the SHA-256 of the token in the Secret (empty: it
        holds none, None: not read).
        """
        tokens = (read_pull_token(live) for live in self.tokens(target))
        return plan_rotation(
            [token for token in tokens if token is not None],
            request=request,
            interval=self._interval,
            now=self._now(),
            held=held,
        )

    async def ensure(self, target: PullTarget, secret: Manifest | None, request: str) -> None:
        """Make the Secret hold the current token, or a new one when there is no current one."""
        held = read_pull_secret_token(secret, target) if secret is not None else ""
        plan = self.plan(target, request, token_sha256(held) if held else "")
        if plan.current is None:
            await self._rotate(target, plan.next_number, request)
            return
        desired = build_pull_secret(target, self._host, held, self._labels)
        if secret is None or _differs(desired, secret):
            await self._write(desired)

    async def revoke(self, target: PullTarget) -> None:
        """Delete every token of a target's robot."""
        await self.delete_tokens([live["metadata"]["name"] for live in self.tokens(target)])

    async def delete_tokens(self, token_names: Iterable[str]) -> None:
        """Delete tokens by name."""
        for name in token_names:
            live = self._caches.live(ACCESS_TOKENS, ("", name))
            if live is not None:
                await self._client.delete(ACCESS_TOKENS, name, uid=live["metadata"]["uid"])
                self._caches.forget(ACCESS_TOKENS, ("", name), live["metadata"]["uid"])

    async def _rotate(self, target: PullTarget, number: int, request: str) -> None:
        """Create a token, first its object, then the Secret: a Secret never holds a token without an object."""
        text = make_token(self._random_bytes(RANDOM_BYTES))
        ends = self._now() + OVERLAP * self._interval
        while self._caches.live(ACCESS_TOKENS, ("", f"{target.robot}.{number}")) is not None:
            number += 1
        token = build_token(target, number, token_sha256(text), ends, request, self._labels)
        await self._applier.apply(token)
        try:
            await self._write(build_pull_secret(target, self._host, text, self._labels))
        except (ForbiddenError, InvalidError, NotFoundError):
            await self.delete_tokens([token["metadata"]["name"]])
            raise
        _log.info("pull secret rotated", project=target.project_id, namespace=target.namespace, number=number)

    async def _write(self, desired: Manifest) -> None:
        annotations = {names.ANNOTATION_DESIRED_HASH: desired_hash(desired)}
        body = {**desired, "metadata": {**desired["metadata"], "annotations": annotations}}
        await self._client.apply(SECRETS, body, field_manager=names.FIELD_MANAGER_OPERATOR)


def _differs(desired: Manifest, live: Manifest) -> bool:
    """Whether the Secret is not as desired; additions by others are theirs."""
    hash_of_live = (live["metadata"].get("annotations") or {}).get(names.ANNOTATION_DESIRED_HASH)
    return hash_of_live != desired_hash(desired) or bool(find_drift(desired, live).changed)
