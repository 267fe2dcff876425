"""Users, certifications and the installation's own keys."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from berth.api import names
from berth.api.base import rfc3339
from berth.kube.resources import (
    ACCESS_TOKENS,
    CERTIFICATIONS,
    CONFIG_MAPS,
    PROJECTS,
    REGISTRY_TEAMS,
    REGISTRY_USERS,
    ROLE_BINDINGS,
    SECRETS,
    Resource,
)
from tests.kit.operator.harness import Cluster, RunningOperator
from tests.kit.operator.settings import BERTH

KEYS = ("berth-install", "berth-token-ca", "berth-token-signing", "berth-tls-ca", "berth-gateway-tls")


async def apply(cluster: Cluster, resource: Resource, name: str, **spec: Any) -> None:
    body = {"apiVersion": names.API_VERSION, "kind": resource.kind, "metadata": {"name": name}, "spec": spec}
    await cluster.admin.apply(resource, body, field_manager="owner")


async def user(cluster: Cluster, name: str, **spec: Any) -> None:
    await apply(cluster, REGISTRY_USERS, name, **spec)


async def certify(cluster: Cluster, name: str, subject: str, until: datetime | None = None) -> None:
    spec: dict[str, Any] = {"subject": {"kind": "User", "name": subject}, "certifiedBy": "office"}
    if until is not None:
        spec["validUntil"] = rfc3339(until)
    body = {"apiVersion": names.API_VERSION, "kind": "Certification", "metadata": {"name": name}, "spec": spec}
    await cluster.admin.apply(CERTIFICATIONS, body, field_manager="office")


async def secret(cluster: Cluster, name: str, **data: str) -> None:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": BERTH}, "data": encoded}
    await cluster.admin.apply(SECRETS, body, field_manager="owner")


async def test_the_status_of_a_user_follows_the_secret_of_the_password(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await user(cluster, unique, passwordSecretRef={"name": unique})
    await cluster.condition(REGISTRY_USERS, unique, Stalled="SecretNotFound")
    await secret(cluster, unique, other="x")
    await cluster.condition(REGISTRY_USERS, unique, Stalled="SecretKeyMissing")
    await secret(cluster, unique, passwordHash="  ")
    await cluster.condition(REGISTRY_USERS, unique, Stalled="SecretEmpty")
    await secret(cluster, unique, passwordHash="plain")
    live = await cluster.condition(REGISTRY_USERS, unique, Stalled="UnknownHashScheme")
    assert "plain" not in str(live["status"])
    await secret(cluster, unique, passwordHash="$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA")
    await cluster.condition(REGISTRY_USERS, unique, Ready="True")
    await cluster.admin.delete(SECRETS, unique, BERTH)
    await cluster.condition(REGISTRY_USERS, unique, Stalled="SecretNotFound")


async def test_a_certification_is_reported_on_the_user_and_ends_by_itself(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    await certify(cluster, unique, unique)
    await cluster.condition(CERTIFICATIONS, unique, Stalled="UserNotFound")
    await user(cluster, unique)
    await cluster.condition(REGISTRY_USERS, unique, Certified="True", Ready="True")
    await cluster.condition(CERTIFICATIONS, unique, Ready="True")
    await certify(cluster, unique, unique, datetime.now(UTC) + timedelta(seconds=3))
    await cluster.condition(REGISTRY_USERS, unique, Certified="CertificationExpired")
    await cluster.condition(CERTIFICATIONS, unique, Stalled="CertificationExpired")
    await cluster.admin.delete(CERTIFICATIONS, unique)
    await cluster.condition(REGISTRY_USERS, unique, Certified="NoCertification")


async def test_a_certification_ends_at_its_second_for_a_user_whose_password_is_not_in_order_too(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    end = (datetime.now(UTC) + timedelta(seconds=3)).replace(microsecond=0)
    await user(cluster, unique, passwordSecretRef={"name": unique})
    await certify(cluster, unique, unique, end)
    before = await cluster.condition(REGISTRY_USERS, unique, Stalled="SecretNotFound", Certified="True")
    assert before["status"]["certifiedUntil"] == rfc3339(end)
    after = await cluster.condition(REGISTRY_USERS, unique, Stalled="SecretNotFound", Certified="CertificationExpired")
    (certified,) = (c for c in after["status"]["conditions"] if c["type"] == "Certified")
    assert certified["lastTransitionTime"] >= rfc3339(end)
    assert rfc3339(end) in certified["message"]
    shown = cluster.plane.kubectl("get", "registryuser", unique, check=True).stdout
    assert " ".join(shown.splitlines()[0].split()) == "NAME READY REASON TYPE CERTIFIED BECAUSE UNTIL AGE"
    assert f"False CertificationExpired {rfc3339(end)}" in " ".join(shown.split())


async def test_a_member_who_appears_is_known_to_the_team_and_to_the_project_shared_with_it(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    member = {"kind": "User", "name": unique}
    await apply(cluster, REGISTRY_TEAMS, unique, members=[member, {"kind": "Group", "name": "idp:lab"}])
    live = await cluster.condition(REGISTRY_TEAMS, unique, Ready="True", SubjectsKnown="SubjectsNotFound")
    assert live["status"]["members"] == 2
    sharing = [{"kind": "Team", "name": unique, "level": "Administer"}]
    await cluster.ready_project(unique, sharing=sharing)
    await cluster.condition(PROJECTS, unique, SubjectsKnown="True", Administered="True")
    await user(cluster, unique, kubernetes={"users": [f"{unique}@example.org"]})
    await cluster.condition(REGISTRY_TEAMS, unique, SubjectsKnown="True")

    def bound(live: Any) -> bool:
        return {"Group": "idp:lab", "User": f"{unique}@example.org"} == {
            subject["kind"]: subject["name"] for subject in (live or {}).get("subjects") or ()
        }

    await cluster.until(ROLE_BINDINGS, "berth-administer", bound, f"berth-{unique}")
    await cluster.admin.delete(REGISTRY_TEAMS, unique)
    await cluster.condition(PROJECTS, unique, SubjectsKnown="SubjectsNotFound", Administered="NoAdminister")


async def test_a_token_reports_whether_it_is_valid_and_keeps_when_it_was_last_used(
    cluster: Cluster, operator: RunningOperator, unique: str
) -> None:
    token = {
        "owner": {"kind": "User", "name": unique},
        "scopes": ["download"],
        "sha256": hashlib.sha256(unique.encode()).hexdigest(),
    }
    await apply(cluster, ACCESS_TOKENS, unique, **token)
    await cluster.condition(ACCESS_TOKENS, unique, Stalled="UserNotFound")
    used: dict[str, Any] = {"apiVersion": names.API_VERSION, "kind": "AccessToken", "metadata": {"name": unique}}
    used["status"] = {"lastUsed": "2026-11-24T06:00:00Z"}
    await cluster.admin.apply(ACCESS_TOKENS, used, field_manager="access", subresource="status")
    await user(cluster, unique)
    live = await cluster.condition(ACCESS_TOKENS, unique, Ready="True")
    assert live["status"]["lastUsed"] == "2026-11-24T06:00:00Z"
    await apply(cluster, ACCESS_TOKENS, f"{unique}-copy", **token)
    await cluster.condition(ACCESS_TOKENS, f"{unique}-copy", Stalled="TokenRepeated")
    await cluster.admin.delete(ACCESS_TOKENS, unique)
    await cluster.condition(ACCESS_TOKENS, f"{unique}-copy", Ready="True")
    end = rfc3339(datetime.now(UTC) + timedelta(seconds=3))
    await apply(cluster, ACCESS_TOKENS, f"{unique}-copy", **token, expiresAt=end)
    await cluster.condition(ACCESS_TOKENS, f"{unique}-copy", Stalled="TokenExpired")


async def test_the_installations_keys_are_made_once_and_put_back_without_changing_the_others(
    cluster: Cluster, operator: RunningOperator
) -> None:
    for name in KEYS:
        await cluster.until(SECRETS, name, lambda live: live is not None, BERTH)
    await cluster.until(CONFIG_MAPS, "berth-ca", lambda live: live is not None, BERTH)
    before = {name: (await cluster.get(SECRETS, name, BERTH))["data"] for name in KEYS}
    await cluster.admin.delete(SECRETS, "berth-token-signing", BERTH)
    again = await cluster.until(SECRETS, "berth-token-signing", lambda live: live is not None, BERTH)
    assert again is not None
    assert again["data"] != before["berth-token-signing"]
    for name in ("berth-install", "berth-token-ca", "berth-tls-ca", "berth-gateway-tls"):
        assert (await cluster.get(SECRETS, name, BERTH))["data"] == before[name]
