"""What kubectl shows of Berth's kinds: columns, explanations, and statuses as they are stored."""

from __future__ import annotations

import json

import pytest

from berth.api.base import ApiModel
from berth.api.conditions import MESSAGE_MAX_LENGTH, Condition, ConditionReason, ConditionType
from berth.api.generate.crd import object_schema
from berth.api.kinds import KINDS, Kind
from berth.api.policy import PolicyRule, rules_summary
from berth.api.project import InventoryEntry, Project, ProjectStatus, StorageStatus
from berth.api.repository import DockerRepository, DockerRepositoryStatus, LastPush, TagStatus
from tests.kit.api.full_objects import full_objects
from tests.kit.api.objects import policy, project, repository
from tests.kit.control_plane import ControlPlane


def _condition(message: str = "Images can be pushed.") -> Condition:
    when = "2026-11-24T06:00:00Z"
    fields = {"type": ConditionType.READY, "status": "True", "reason": ConditionReason.READY, "message": message}
    return Condition.model_validate(fields | {"last_transition_time": when, "observed_generation": 1})


def _write_status(plane: ControlPlane, kind: str, name: str, status: ApiModel, *place: str) -> None:
    patch = json.dumps({"status": status.to_dict()})
    plane.kubectl(*place, "patch", kind, name, "--subresource=status", "--type=merge", "-p", patch, check=True)


def _project_status() -> ProjectStatus:
    return ProjectStatus(
        observed_generation=1,
        conditions=(_condition(),),
        namespace="berth-genomics",
        address="registry.example.org/genomics",
        registry_version="3.1.2",
        storage=StorageStatus(capacity="50Gi"),
        repositories=12,
        inventory=(InventoryEntry(group="apps", version="v1", kind="Deployment", namespace="n", name="registry"),),
    )


def test_kubectl_get_shows_a_project_at_a_glance(berth_crds: ControlPlane, unique: str) -> None:
    berth_crds.apply(project(unique))
    _write_status(berth_crds, "project", unique, _project_status())
    head, row = berth_crds.kubectl("get", "bproj", unique, check=True).stdout.splitlines()
    assert head.split() == ["NAME", "READY", "REASON", "ADDRESS", "REPOSITORIES", "CAPACITY", "AGE"]
    assert row.split()[:6] == [unique, "True", "Ready", "registry.example.org/genomics", "12", "50Gi"]
    wide = berth_crds.kubectl("get", "bproj", unique, "-o", "wide", check=True).stdout
    assert "Images can be pushed." in wide
    assert "3.1.2" in wide
    read = Project.model_validate(berth_crds.get("project", unique))
    assert read.status == _project_status()


def test_kubectl_get_shows_a_repository_at_a_glance(berth_crds: ControlPlane, unique: str, namespace: str) -> None:
    digest = "sha256:" + "1" * 64
    tag = {"name": "v2", "digest": digest, "size": "612Mi", "pushedBy": "curator", "pushedAt": "2026-11-24T06:00:00Z"}
    status = DockerRepositoryStatus(
        observed_generation=1,
        conditions=(_condition(),),
        address="registry.example.org/genomics/aligner",
        tags=(TagStatus.model_validate(tag),),
        tag_count=118,
        digest_count=240,
        last_push=LastPush.model_validate(
            {"tag": "v2", "digest": digest, "at": "2026-11-24T06:00:00Z", "by": "curator"}
        ),
    )
    berth_crds.apply(repository(unique, namespace))
    _write_status(berth_crds, "drepo", unique, status, "-n", namespace)
    shown_now = berth_crds.kubectl("-n", namespace, "get", "drepo", check=True).stdout.splitlines()
    assert shown_now[0].split() == ["NAME", "READY", "REASON", "ADDRESS", "TAGS", "LAST", "PUSH", "AGE"]
    assert shown_now[1].split()[:5] == [unique, "True", "Ready", "registry.example.org/genomics/aligner", "118"]
    read = DockerRepository.model_validate(berth_crds.get("drepo", unique, "-n", namespace))
    assert read.status == status


def test_kubectl_get_shows_who_may_push_and_until_when(berth_crds: ControlPlane, unique: str, namespace: str) -> None:
    berth_crds.apply(*full_objects(unique, namespace)[2:])
    certified = berth_crds.kubectl("get", "bcert", unique, check=True).stdout
    assert "CERTIFIED BY" in certified
    assert "registry-office" in certified
    assert "2027-06-30T00:00:00Z" in certified
    assert "Robot" in berth_crds.kubectl("get", "ruser", unique, check=True).stdout
    assert "curator" not in berth_crds.kubectl("get", "atoken", unique, check=True).stdout
    token_row = berth_crds.kubectl("get", "atoken", unique, check=True).stdout.splitlines()[1].split()
    assert token_row[:3] == [unique, "nightly", '["view","download","modify"]']


def test_kubectl_get_shows_the_effective_rights(berth_crds: ControlPlane, unique: str, namespace: str) -> None:
    rules = [
        {"kind": "User", "name": "curator", "level": "Administer", "source": "LocalSharing"},
        {"kind": "Team", "name": "authors", "level": "Edit", "source": "LocalSharing"},
        {"kind": "AuthenticatedUsers", "level": "View", "source": "LocalSharing"},
    ]
    made = tuple(PolicyRule.model_validate(rule) for rule in rules)
    berth_crds.apply(
        policy(unique, namespace, repository="tools/aligner", state="Active", rules=rules, summary=rules_summary(made))
    )
    policies = berth_crds.kubectl("-n", namespace, "get", "apol", check=True).stdout
    head, row = policies.splitlines()
    assert head.split() == ["NAME", "PROJECT", "REPOSITORY", "STATE", "RIGHTS", "SOURCE", "AGE"]
    assert row.split()[:4] == [unique, "genomics", "tools/aligner", "Active"]
    assert "User curator Administer, Team authors Edit, AuthenticatedUsers View   LocalSharing" in row


def test_kubectl_get_shows_until_when_a_namespace_pulls(berth_crds: ControlPlane, unique: str, namespace: str) -> None:
    rules = [
        {"kind": "User", "name": "curator", "level": "Administer", "source": "Sharing"},
        {"kind": "Robot", "name": "genomics.pull.web", "level": "Download", "source": "PullSecret"},
    ]
    rules[1]["expiresAt"] = "2027-01-23T10:00:00Z"
    made = tuple(PolicyRule.model_validate(rule) for rule in rules)
    berth_crds.apply(policy(unique, namespace, state="Active", rules=rules, summary=rules_summary(made)))
    row = berth_crds.kubectl("-n", namespace, "get", "apol", check=True).stdout.splitlines()[1]
    assert "Robot genomics.pull.web Download by PullSecret until 2027-01-23" in row
    assert berth_crds.get("-n", namespace, "apol", unique)["spec"]["rules"] == rules


def test_the_category_gets_every_kind(berth_crds: ControlPlane, unique: str, namespace: str) -> None:
    berth_crds.apply(*full_objects(unique, namespace))
    listed = berth_crds.kubectl("get", "berth", "-n", namespace, check=True).stdout
    assert [kind.singular for kind in KINDS if f"{kind.singular}.berth.dev/{unique}" not in listed] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_kubectl_explain_shows_every_field_of_the_spec(berth_crds: ControlPlane, kind: Kind) -> None:
    shown = " ".join(berth_crds.kubectl("explain", f"{kind.singular}.spec", check=True).stdout.split())
    for name, field in object_schema(kind)["properties"]["spec"]["properties"].items():
        assert f"{name} <" in shown
        assert " ".join(field["description"].split()) in shown


def test_a_message_longer_than_the_bound_is_refused_so_writers_must_cut_it(
    berth_crds: ControlPlane, unique: str
) -> None:
    berth_crds.apply(project(unique))
    longest = ProjectStatus(observed_generation=1, conditions=(_condition("m" * MESSAGE_MAX_LENGTH),))
    _write_status(berth_crds, "project", unique, longest)
    assert len(berth_crds.get("project", unique)["status"]["conditions"][0]["message"]) == MESSAGE_MAX_LENGTH
