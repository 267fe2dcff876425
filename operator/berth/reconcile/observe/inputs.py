"""From the caches to the inputs of a project's manifests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from berth.api import names
from berth.api.project import Project
from berth.desired.inputs import NamespaceInputs, ProjectInputs
from berth.desired.installation.authority import Authority
from berth.desired.installation.keys import http_secret
from berth.desired.installation.manifests import SEED, TOKEN_CA, FoundMaterial, read_material
from berth.desired.registry.claim import CLAIM_NAME
from berth.desired.registry.deployment import read_start_state
from berth.desired.sharing.members import members_by_level
from berth.desired.sharing.pull_secret import is_made_by_berth, read_pull_token
from berth.kube.resources import ACCESS_TOKENS, DEPLOYMENTS, PERSISTENT_VOLUME_CLAIMS, SECRETS
from berth.reconcile.observe.subjects import named_teams, named_users
from berth.reconcile.watch.caches import Caches
from berth.settings import OperatorSettings


@dataclass(frozen=True, slots=True)
class RegistryKeys:
    """What registries need of the installation's keys."""

    authority: Authority
    seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _NamespaceInputs:
    instance: str
    berth_version: str
    berth_namespace: str
    operator_service_account: str
    project_cluster_role: str


def found_material(caches: Caches, namespace: str, secret_names: Iterable[str]) -> FoundMaterial:
    """Key material from Berth's own Secrets."""
    secrets = {name: caches.live(SECRETS, (namespace, name)) for name in secret_names}
    return read_material({name: secret for name, secret in secrets.items() if secret is not None})


def registry_keys(caches: Caches, namespace: str) -> RegistryKeys | None:
    """The installation's token authority and seed; None until both exist."""
    material = found_material(caches, namespace, (TOKEN_CA, SEED))
    if material.token_ca is None or material.seed is None:
        return None
    return RegistryKeys(material.token_ca, material.seed)


def namespace_inputs(settings: OperatorSettings, version: str) -> NamespaceInputs:
    """What decides a project's namespace besides its id."""
    return _NamespaceInputs(
        instance=settings.instance,
        berth_version=version,
        berth_namespace=settings.namespace,
        operator_service_account=settings.service_account,
        project_cluster_role=settings.project_cluster_role,
    )


def project_inputs(
    project: Project, keys: RegistryKeys, caches: Caches, settings: OperatorSettings, version: str
) -> ProjectInputs:
    """Everything besides the Project that decides its manifests."""
    namespace = names.project_namespace(project.project_id)
    claim = caches.live(PERSISTENT_VOLUME_CLAIMS, (namespace, CLAIM_NAME))
    requested = ((claim or {}).get("spec", {}).get("resources", {}).get("requests") or {}).get("storage", "")
    teams = named_teams(project.spec.sharing, caches)
    users = named_users(project.spec.sharing, teams, caches)
    return ProjectInputs(
        registry_image=settings.registry_image,
        registry_version=settings.registry_version,
        registry_pull_policy=settings.registry_pull_policy,
        token_authorities=keys.authority.token_authorities,
        http_secret=http_secret(keys.seed, project.metadata.uid),
        host=settings.host,
        berth_namespace=settings.namespace,
        instance=settings.instance,
        cluster_domain=settings.cluster_domain,
        operator_service_account=settings.service_account,
        project_cluster_role=settings.project_cluster_role,
        members=members_by_level(project.spec.sharing, users, teams),
        trashed=project.spec.trashed,
        suspended=project.spec.suspend,
        deleted=project.metadata.being_deleted,
        allow_public=settings.allow_public,
        start_state=read_start_state(caches.live(DEPLOYMENTS, (namespace, names.REGISTRY_NAME))),
        pull_token_ends=_pull_token_ends(project.project_id, caches),
        claim_request=requested,
        berth_version=version,
    )


def _pull_token_ends(project_id: str, caches: Caches) -> Mapping[str, datetime]:
    """By robot of a pull secret: the end of its newest token."""
    ends: dict[str, datetime] = {}
    for live in caches.of_project(ACCESS_TOKENS, project_id).values():
        token = read_pull_token(live) if is_made_by_berth(live) else None
        if token is not None:
            robot = live["spec"]["owner"]["name"]
            ends[robot] = max(token.expires_at, ends.get(robot, token.expires_at))
    return ends
