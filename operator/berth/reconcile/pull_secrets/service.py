"""Pull secrets: for each namespace of `spec.pullSecrets` a robot, its token, and the Secret that holds it.

The operator has no right to Secrets outside of Berth's own and the projects' namespaces. A namespace agrees with a
RoleBinding; without one its status has the command that creates it, and nothing is written. When the namespace takes
the RoleBinding back, the token is revoked, and the status names what the operator can no longer delete. No watch covers
Secrets and ServiceAccounts there, so they are checked from time to time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

import structlog

from berth.api import names
from berth.api.conditions import ConditionReason
from berth.api.project import InventoryEntry, Project, PullSecretStatus
from berth.desired.sharing.pull_secret import PullTarget, RotationPlan, build_robot, is_made_by_berth, read_target
from berth.kube.apply import Applier, Reference
from berth.kube.client import KubeClient
from berth.kube.errors import ForbiddenError, InvalidError, NotFoundError
from berth.kube.resources import ACCESS_TOKENS, NAMESPACES, REGISTRY_USERS, SECRETS, SERVICE_ACCOUNTS, Manifest
from berth.reconcile.pull_secrets.rotation import Labels, Rotation
from berth.reconcile.watch.caches import Caches
from berth.settings import OperatorSettings
from berth.status.pull_secret import absent_status, consent_missing_status, refused_status, served_status

SERVED_CHECK_SECONDS: Final = 600.0  # between two checks of a Secret that is as desired
REFUSED_CHECK_SECONDS: Final = 30.0  # after a namespace was not served: a watch covers one form of consent only
CONSENT_CHECK_SECONDS: Final = 1.0  # doubled each time: a new or removed RoleBinding takes a moment to take effect
SHORTEST_RESYNC_SECONDS: Final = 1.0
PULL_KINDS: Final = frozenset({REGISTRY_USERS.kind, ACCESS_TOKENS.kind})
"""Kinds that a project's inventory has for its pull secrets alone."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """The pull secrets of one project after a reconcile."""

    statuses: tuple[PullSecretStatus, ...] = ()
    inventory: tuple[InventoryEntry, ...] = ()
    resync_after: float = SERVED_CHECK_SECONDS  # seconds


@dataclass(frozen=True, slots=True)
class _Check:
    """The result of the last check of a namespace. It holds until `until`, and while `subject` is the same."""

    subject: tuple[object, ...]
    status: PullSecretStatus
    consent: str  # the resource version of the RoleBinding at that time, or empty
    pause: float  # seconds
    until: float  # monotonic seconds


class _RefusedError(Exception):
    """The namespace cannot be served now."""

    def __init__(self, reason: ConditionReason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


class PullSecrets:
    """Serves namespaces; caches the last check of each."""

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
        self._labels = Labels(settings.instance, version)
        self._rotation = Rotation(client, caches, applier, settings, self._labels, now=now, random_bytes=random_bytes)
        self._now = now
        self._clock = clock
        self._checks: dict[tuple[str, str], _Check] = {}

    async def serve(self, project: Project) -> Served:
        """Make the pull secrets of a project as its spec says; sends requests only for what is due."""
        targets = [PullTarget.from_entry(project, entry) for entry in project.spec.pull_secrets]
        await self._withdraw_others(project.project_id, frozenset(target.namespace for target in targets))
        request = project.metadata.annotations.get(names.ANNOTATION_ROTATE_PULL_SECRETS, "")
        statuses: list[PullSecretStatus] = []
        resync_after = SERVED_CHECK_SECONDS
        for target in targets:
            status, pause = await self._serve(target, request)
            statuses.append(status)
            resync_after = min(resync_after, pause)
        inventory = self._inventory(project.project_id, statuses)
        return Served(tuple(statuses), inventory, max(SHORTEST_RESYNC_SECONDS, resync_after))

    def untouched(self, project: Project) -> Served:
        """The pull secrets as the status of the project has them, without a request."""
        statuses = project.status.pull_secrets
        return Served(statuses, self._inventory(project.project_id, statuses))

    async def forget(self, project_id: str) -> None:
        """Revoke and remove every pull secret of a project that is gone."""
        await self._withdraw_others(project_id, frozenset())

    async def _serve(self, target: PullTarget, request: str) -> tuple[PullSecretStatus, float]:
        """Serve one namespace; its status, and the seconds until it should be looked at again."""
        space = self._caches.live(NAMESPACES, ("", target.namespace))
        if space is None or "deletionTimestamp" in space["metadata"]:
            await self._withdraw(target)
            return absent_status(target.namespace, terminating=space is not None), REFUSED_CHECK_SECONDS
        plan = self._rotation.plan(target, request)
        await self._rotation.delete_tokens(plan.remove)
        key, now = (target.project_id, target.namespace), self._clock()
        last, consent = self._checks.get(key), self._consent(target)
        present = (self._subject(target, request, plan), consent)
        if last is None or now >= last.until or (last.subject, last.consent) != present:
            status = await self._check(target, request)
            plan = self._rotation.plan(target, request)
            pause = _pause(status, last, consent)
            last = _Check(self._subject(target, request, plan), status, consent, pause, now + pause)
            self._checks[key] = last
        due = (plan.due - self._now()).total_seconds() if plan.due else SERVED_CHECK_SECONDS
        return last.status, min(last.until - now, due)

    def _subject(self, target: PullTarget, request: str, plan: RotationPlan) -> tuple[object, ...]:
        """What a check was made for: a change of any of this makes another one due."""
        robot = (self._caches.live(REGISTRY_USERS, ("", target.robot)) or {"metadata": {}})["metadata"]
        current = plan.current.name if plan.current else None
        return (target, request, current, robot.get("uid"), robot.get("generation"))

    def _consent(self, target: PullTarget) -> str:
        binding = self._caches.consent(target.namespace)
        return str(binding["metadata"]["resourceVersion"]) if binding else ""

    async def _check(self, target: PullTarget, request: str) -> PullSecretStatus:
        """Make everything in the namespace as desired; a refusal becomes a status."""
        try:
            return await self._apply(target, request)
        except _RefusedError as refused:
            reason, sentence = refused.reason, refused.sentence
        except ForbiddenError:
            return self._without_consent(target)
        except (InvalidError, NotFoundError) as error:
            reason, sentence = ConditionReason.APPLY_REFUSED, error.sentence
        return refused_status(target.namespace, reason, sentence)

    async def _apply(self, target: PullTarget, request: str) -> PullSecretStatus:
        secret = await self._read_secret(target)
        if secret is not None and not is_made_by_berth(secret):
            raise _RefusedError(
                ConditionReason.NAME_TAKEN,
                f"Secret {target.secret} in namespace {target.namespace} exists and is not Berth's: remove it.",
            )
        before = self._robot(target)
        for account in sorted(set(before.service_accounts if before else ()) - set(target.service_accounts)):
            await self._set_pull_secret(target, account, wanted=False)
        await self._applier.apply(build_robot(target, self._labels))
        await self._rotation.ensure(target, secret, request)
        missing = [
            name for name in target.service_accounts if not await self._set_pull_secret(target, name, wanted=True)
        ]
        current = self._rotation.plan(target, request).current
        rotated_at = current.created if current else None
        return served_status(target.namespace, target.secret, rotated_at=rotated_at, missing=missing)

    async def _read_secret(self, target: PullTarget) -> Manifest | None:
        """The Secret. Where it may no longer be read, the token in it is revoked."""
        try:
            return await self._client.get(SECRETS, target.secret, target.namespace)
        except ForbiddenError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                await self._rotation.revoke(target)
            raise

    def _robot(self, target: PullTarget) -> PullTarget | None:
        """What the robot was created for, if it exists. Raises _RefusedError for a user of that name by others."""
        live = self._caches.live(REGISTRY_USERS, ("", target.robot))
        if live is None:
            return None
        found = read_target(live)
        if found is None or (found.project_id, found.namespace) != (target.project_id, target.namespace):
            raise _RefusedError(
                ConditionReason.NAME_TAKEN,
                f"RegistryUser {target.robot} exists and is not the robot of this pull secret: remove or rename it.",
            )
        return found

    async def _set_pull_secret(self, target: PullTarget, account: str, *, wanted: bool) -> bool:
        """Add the Secret to a ServiceAccount or remove it from there; False when the ServiceAccount does not exist.

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
        """Remove everything from namespaces that the spec no longer names."""
        for live in list(self._caches.of_project(REGISTRY_USERS, project_id).values()):
            target = read_target(live)
            if target is not None and target.namespace not in wanted:
                await self._withdraw(target)
        for live in list(self._caches.of_project(ACCESS_TOKENS, project_id).values()):
            if is_made_by_berth(live) and live["metadata"]["labels"].get(names.LABEL_PULL_NAMESPACE) not in wanted:
                await self._rotation.delete_tokens([live["metadata"]["name"]])
        for key in [key for key in self._checks if key[0] == project_id and key[1] not in wanted]:
            del self._checks[key]

    async def _withdraw(self, target: PullTarget) -> None:
        """Revoke, clean up, and delete the robot last: it is the record of what is left to clean up."""
        await self._rotation.revoke(target)
        live = self._caches.live(REGISTRY_USERS, ("", target.robot))
        made_for = read_target(live) if live else None
        if live is None or made_for is None:
            return
        try:
            await self._clean(made_for)
        except ForbiddenError:
            _log.warning(
                "a withdrawn pull secret is left behind: its namespace no longer agrees",
                namespace=target.namespace,
                secret=target.secret,
            )
        await self._client.delete(REGISTRY_USERS, target.robot, uid=live["metadata"]["uid"])
        self._caches.forget(REGISTRY_USERS, ("", target.robot), live["metadata"]["uid"])

    async def _clean(self, target: PullTarget) -> None:
        """The Secret first: a Role of the namespace's own may give the right to that and to no ServiceAccount."""
        secret = await self._client.get(SECRETS, target.secret, target.namespace)
        if secret is not None and is_made_by_berth(secret):
            await self._client.delete(SECRETS, target.secret, target.namespace, uid=secret["metadata"]["uid"])
        for account in target.service_accounts:
            await self._set_pull_secret(target, account, wanted=False)

    def _without_consent(self, target: PullTarget) -> PullSecretStatus:
        """A robot without tokens means that the namespace agreed before, so its Secret may still exist."""
        settings, robot = self._settings, self._caches.live(REGISTRY_USERS, ("", target.robot))
        return consent_missing_status(
            target.namespace,
            target.secret,
            cluster_role=settings.pull_secret_cluster_role,
            account=f"{settings.namespace}:{settings.service_account}",
            left=robot is not None and read_target(robot) is not None and not self._rotation.tokens(target),
        )

    def _inventory(self, project_id: str, statuses: Iterable[PullSecretStatus]) -> tuple[InventoryEntry, ...]:
        made = [
            Reference.of(live)
            for resource in (REGISTRY_USERS, ACCESS_TOKENS)
            for live in self._caches.of_project(resource, project_id).values()
            if is_made_by_berth(live)
        ]
        name = names.pull_secret_name(project_id)
        made += [Reference(SECRETS, SECRETS.kind, status.namespace, name) for status in statuses if status.secret_name]
        return tuple(reference.entry() for reference in sorted(made))


def _pause(status: PullSecretStatus, before: _Check | None, consent: str) -> float:
    """Seconds until the next check: soon after the namespace agreed or took it back, then less and less often."""
    usual = SERVED_CHECK_SECONDS if status.reason == ConditionReason.SERVED else REFUSED_CHECK_SECONDS
    if before is None:
        return usual
    return min(usual, CONSENT_CHECK_SECONDS if before.consent != consent else 2 * before.pause)
