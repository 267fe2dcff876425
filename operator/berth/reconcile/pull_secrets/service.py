"""Pull secrets: for each namespace of `spec.pullSecrets` a robot, its token, and the Secret that holds it.

The operator has no right to Secrets outside of Berth's own and the projects' namespaces. A namespace lets it in by a
RoleBinding; without one it is told which command makes it, and nothing is written. When it takes that back, the token
is revoked, and what the operator may no longer remove is told. No watch tells of Secrets and ServiceAccounts there, so
they are looked at again from time to time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

import structlog

from berth.api import names
from berth.api.conditions import ConditionReason
from berth.api.project import InventoryEntry, Project, PullSecretStatus
from berth.authz.token_format import RANDOM_BYTES, make_token, token_sha256
from berth.desired.sharing.pull_secret import (
    OVERLAP,
    PullTarget,
    RotationPlan,
    build_pull_secret,
    build_robot,
    build_token,
    held_token,
    made_by_berth,
    plan_rotation,
    read_pull_token,
    target_of,
)
from berth.kube.apply import Applier, Reference
from berth.kube.client import KubeClient
from berth.kube.drift import desired_hash, find_drift
from berth.kube.errors import ForbiddenError, InvalidError, NotFoundError
from berth.kube.resources import ACCESS_TOKENS, NAMESPACES, REGISTRY_USERS, SECRETS, SERVICE_ACCOUNTS, Manifest
from berth.reconcile.watch.caches import Caches
from berth.settings import OperatorSettings
from berth.status.pull_secret import tell_absent, tell_consent_missing, tell_refused, tell_served

LOOK_AGAIN: Final = 600.0  # seconds until a Secret that is in order is looked at again
TRY_AGAIN: Final = 30.0  # seconds until a namespace that could not be served is tried again: not all consent is watched
CONSENT_SETTLES: Final = 1.0  # seconds, doubled each time: a new or removed RoleBinding takes a moment to take effect
PULL_KINDS: Final = frozenset({REGISTRY_USERS.kind, ACCESS_TOKENS.kind})
"""Kinds that a project's inventory holds for its pull secrets alone."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """What became of the pull secrets of one project."""

    statuses: tuple[PullSecretStatus, ...] = ()
    inventory: tuple[InventoryEntry, ...] = ()
    resync_after: float = LOOK_AGAIN  # seconds


@dataclass(frozen=True, slots=True)
class _Labels:
    instance: str
    berth_version: str


@dataclass(frozen=True, slots=True)
class _Look:
    """What the last look at a namespace found, and for which wish."""

    wish: tuple[object, ...]
    status: PullSecretStatus
    consent: str  # the version of the RoleBinding that was known then, or empty
    pause: float  # seconds
    until: float  # monotonic seconds


class _RefusedError(Exception):
    """The namespace can not be served now."""

    def __init__(self, reason: ConditionReason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


class PullSecrets:
    """Serves namespaces, and remembers when each was looked at."""

    def __init__(
        self,
        client: KubeClient,
        caches: Caches,
        applier: Applier,
        settings: OperatorSettings,
        version: str,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._client = client
        self._caches = caches
        self._applier = applier
        self._settings = settings
        self._labels = _Labels(settings.instance, version)
        self._interval = timedelta(seconds=settings.pull_secret_rotation)
        self._now = now
        self._clock = clock
        self._random_bytes = random_bytes
        self._looks: dict[tuple[str, str], _Look] = {}

    async def serve(self, project: Project) -> Served:
        """Make the pull secrets of a project as its spec says; asks the cluster only what is due."""
        targets = [PullTarget.of(project, entry) for entry in project.spec.pull_secrets]
        await self._withdraw_others(project.project_id, frozenset(target.namespace for target in targets))
        request = project.metadata.annotations.get(names.ANNOTATION_ROTATE_PULL_SECRETS, "")
        statuses: list[PullSecretStatus] = []
        look_again = LOOK_AGAIN
        for target in targets:
            status, pause = await self._serve(target, request)
            statuses.append(status)
            look_again = min(look_again, pause)
        return Served(tuple(statuses), self._inventory(project.project_id, statuses), max(1.0, look_again))

    def untouched(self, project: Project) -> Served:
        """What there is, without a look at the cluster."""
        told = project.status.pull_secrets
        return Served(told, self._inventory(project.project_id, told))

    async def forget(self, project_id: str) -> None:
        """The project is gone: nobody pulls from it any more."""
        await self._withdraw_others(project_id, frozenset())

    async def _serve(self, target: PullTarget, request: str) -> tuple[PullSecretStatus, float]:
        space = self._caches.live(NAMESPACES, ("", target.namespace))
        if space is None or "deletionTimestamp" in space["metadata"]:
            await self._withdraw(target)
            return tell_absent(target.namespace, terminating=space is not None), TRY_AGAIN
        plan = self._plan(target, request)
        await self._remove_tokens(plan.remove)
        key, now = (target.project_id, target.namespace), self._clock()
        look, consent = self._looks.get(key), self._consent(target)
        known = (self._wish(target, request, plan), consent)
        if look is None or now >= look.until or (look.wish, look.consent) != known:
            status = await self._told_look(target, request)
            plan = self._plan(target, request)
            pause = _pause(status, look, consent)
            look = self._looks[key] = _Look(self._wish(target, request, plan), status, consent, pause, now + pause)
        due = (plan.due - self._now()).total_seconds() if plan.due else LOOK_AGAIN
        return look.status, min(look.until - now, due)

    def _wish(self, target: PullTarget, request: str, plan: RotationPlan) -> tuple[object, ...]:
        """What a look is about: when any of this is another, what was seen counts no more."""
        robot = (self._caches.live(REGISTRY_USERS, ("", target.robot)) or {"metadata": {}})["metadata"]
        current = plan.current.name if plan.current else None
        return (target, request, current, robot.get("uid"), robot.get("generation"))

    def _consent(self, target: PullTarget) -> str:
        binding = self._caches.consent(target.namespace)
        return str(binding["metadata"]["resourceVersion"]) if binding else ""

    def _plan(self, target: PullTarget, request: str, held: str | None = None) -> RotationPlan:
        tokens = (read_pull_token(live) for live in self._tokens(target))
        return plan_rotation(
            [token for token in tokens if token is not None],
            request=request,
            interval=self._interval,
            now=self._now(),
            held=held,
        )

    def _tokens(self, target: PullTarget) -> list[Manifest]:
        found = self._caches.of_project(ACCESS_TOKENS, target.project_id).values()
        return [
            live for live in found if made_by_berth(live) and live["spec"].get("owner", {}).get("name") == target.robot
        ]

    async def _told_look(self, target: PullTarget, request: str) -> PullSecretStatus:
        """Look at the namespace and put it in order; what keeps that from being done becomes a status."""
        try:
            return await self._look(target, request)
        except _RefusedError as refused:
            reason, sentence = refused.reason, refused.sentence
        except ForbiddenError:
            return self._without_consent(target)
        except (InvalidError, NotFoundError) as error:
            reason, sentence = ConditionReason.APPLY_REFUSED, error.sentence
        return tell_refused(target.namespace, reason, sentence)

    async def _look(self, target: PullTarget, request: str) -> PullSecretStatus:
        secret = await self._read_secret(target)
        if secret is not None and not made_by_berth(secret):
            raise _RefusedError(
                ConditionReason.NAME_TAKEN,
                f"Secret {target.secret} in namespace {target.namespace} exists and is not Berth's: remove it.",
            )
        before = self._robot(target)
        for account in sorted(set(before.service_accounts if before else ()) - set(target.service_accounts)):
            await self._offer(target, account, wanted=False)
        await self._applier.apply(build_robot(target, self._labels))
        held = held_token(secret, target) if secret is not None else ""
        plan = self._plan(target, request, token_sha256(held) if held else "")
        if plan.current is None:
            await self._rotate(target, plan.next_number, request)
        else:
            desired = build_pull_secret(target, self._settings.host, held, self._labels)
            if secret is None or _differs(desired, secret):
                await self._write(desired)
        missing = [name for name in target.service_accounts if not await self._offer(target, name, wanted=True)]
        current = self._plan(target, request).current
        made = current.created if current else None
        return tell_served(target.namespace, target.secret, rotated_at=made, missing=missing)

    async def _read_secret(self, target: PullTarget) -> Manifest | None:
        """The Secret. Where it may not be read any more, nobody may use what it holds either."""
        try:
            return await self._client.get(SECRETS, target.secret, target.namespace)
        except ForbiddenError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                await self._remove_tokens(tuple(live["metadata"]["name"] for live in self._tokens(target)))
            raise

    def _robot(self, target: PullTarget) -> PullTarget | None:
        """What the robot was made for, if it exists. Raises _Refused for a user of that name that is somebody's own."""
        live = self._caches.live(REGISTRY_USERS, ("", target.robot))
        if live is None:
            return None
        found = target_of(live)
        if found is None or (found.project_id, found.namespace) != (target.project_id, target.namespace):
            raise _RefusedError(
                ConditionReason.NAME_TAKEN,
                f"RegistryUser {target.robot} exists and is not the robot of this pull secret: remove or rename it.",
            )
        return found

    async def _rotate(self, target: PullTarget, number: int, request: str) -> None:
        """A new token, first its object, then the Secret: what the Secret holds is always known."""
        text = make_token(self._random_bytes(RANDOM_BYTES))
        ends = self._now() + OVERLAP * self._interval
        while self._caches.live(ACCESS_TOKENS, ("", f"{target.robot}.{number}")) is not None:
            number += 1
        token = build_token(target, number, token_sha256(text), ends, request, self._labels)
        await self._applier.apply(token)
        try:
            await self._write(build_pull_secret(target, self._settings.host, text, self._labels))
        except (ForbiddenError, InvalidError, NotFoundError):
            await self._remove_tokens((token["metadata"]["name"],))
            raise
        _log.info("pull secret rotated", project=target.project_id, namespace=target.namespace, number=number)

    async def _write(self, desired: Manifest) -> None:
        annotations = {names.ANNOTATION_DESIRED_HASH: desired_hash(desired)}
        body = {**desired, "metadata": {**desired["metadata"], "annotations": annotations}}
        await self._client.apply(SECRETS, body, field_manager=names.FIELD_MANAGER_OPERATOR)

    async def _offer(self, target: PullTarget, account: str, *, wanted: bool) -> bool:
        """Let a ServiceAccount pull with the Secret, or no longer; False when it does not exist.

        `imagePullSecrets` is one atomic list to the API server, so it is replaced whole, under its resourceVersion.
        """
        live = await self._client.get(SERVICE_ACCOUNTS, account, target.namespace)
        if live is None:
            return False
        entry = {"name": target.secret}
        present = live.get("imagePullSecrets") or []
        if (entry in present) is wanted:
            return True
        others = [found for found in present if found != entry]
        patch = {
            "metadata": {key: live["metadata"][key] for key in ("uid", "resourceVersion")},
            "imagePullSecrets": [*others, entry] if wanted else others,
        }
        manager = names.FIELD_MANAGER_OPERATOR
        await self._client.merge(SERVICE_ACCOUNTS, (target.namespace, account), patch, field_manager=manager)
        return True

    async def _withdraw_others(self, project_id: str, wanted: frozenset[str]) -> None:
        """Take everything back from namespaces that are no longer named."""
        for live in list(self._caches.of_project(REGISTRY_USERS, project_id).values()):
            target = target_of(live)
            if target is not None and target.namespace not in wanted:
                await self._withdraw(target)
        for live in list(self._caches.of_project(ACCESS_TOKENS, project_id).values()):
            if made_by_berth(live) and live["metadata"]["labels"].get(names.LABEL_PULL_NAMESPACE) not in wanted:
                await self._remove_tokens((live["metadata"]["name"],))
        for key in [key for key in self._looks if key[0] == project_id and key[1] not in wanted]:
            del self._looks[key]

    async def _withdraw(self, target: PullTarget) -> None:
        """Revoke, clean up, and only then forget: the robot is the record of what is to be cleaned up."""
        await self._remove_tokens(tuple(live["metadata"]["name"] for live in self._tokens(target)))
        live = self._caches.live(REGISTRY_USERS, ("", target.robot))
        made_for = target_of(live) if live else None
        if live is None or made_for is None:
            return
        try:
            await self._clean(made_for)
        except ForbiddenError:
            _log.warning(
                "what is left of a pull secret stays: its namespace does not let the operator in any more",
                namespace=target.namespace,
                secret=target.secret,
            )
        await self._client.delete(REGISTRY_USERS, target.robot, uid=live["metadata"]["uid"])
        self._caches.forget(REGISTRY_USERS, ("", target.robot), live["metadata"]["uid"])

    async def _clean(self, target: PullTarget) -> None:
        """The Secret first: a Role of the namespace's own may give the right to that and to no ServiceAccount."""
        secret = await self._client.get(SECRETS, target.secret, target.namespace)
        if secret is not None and made_by_berth(secret):
            await self._client.delete(SECRETS, target.secret, target.namespace, uid=secret["metadata"]["uid"])
        for account in target.service_accounts:
            await self._offer(target, account, wanted=False)

    async def _remove_tokens(self, removed: tuple[str, ...]) -> None:
        for name in removed:
            live = self._caches.live(ACCESS_TOKENS, ("", name))
            if live is not None:
                await self._client.delete(ACCESS_TOKENS, name, uid=live["metadata"]["uid"])
                self._caches.forget(ACCESS_TOKENS, ("", name), live["metadata"]["uid"])

    def _without_consent(self, target: PullTarget) -> PullSecretStatus:
        """As long as there is the robot, and no token of it, there may be a Secret of the time with consent."""
        settings, robot = self._settings, self._caches.live(REGISTRY_USERS, ("", target.robot))
        return tell_consent_missing(
            target.namespace,
            target.secret,
            cluster_role=settings.pull_secret_cluster_role,
            account=f"{settings.namespace}:{settings.service_account}",
            left=robot is not None and target_of(robot) is not None and not self._tokens(target),
        )

    def _inventory(self, project_id: str, statuses: Iterable[PullSecretStatus]) -> tuple[InventoryEntry, ...]:
        made = [
            Reference.of(live)
            for resource in (REGISTRY_USERS, ACCESS_TOKENS)
            for live in self._caches.of_project(resource, project_id).values()
            if made_by_berth(live)
        ]
        name = names.pull_secret_name(project_id)
        made += [Reference(SECRETS, SECRETS.kind, status.namespace, name) for status in statuses if status.secret_name]
        return tuple(reference.entry() for reference in sorted(made))


def _pause(status: PullSecretStatus, before: _Look | None, consent: str) -> float:
    """Seconds until the next look: soon after the namespace agreed or took it back, then ever less often."""
    usual = LOOK_AGAIN if status.reason == ConditionReason.SERVED else TRY_AGAIN
    if before is None:
        return usual
    return min(usual, CONSENT_SETTLES if before.consent != consent else 2 * before.pause)


def _differs(desired: Manifest, live: Manifest) -> bool:
    """Whether the Secret is not as desired; what others added to it is theirs."""
    noted = (live["metadata"].get("annotations") or {}).get(names.ANNOTATION_DESIRED_HASH)
    return noted != desired_hash(desired) or bool(find_drift(desired, live).changed)
