"""The grant of a registry token for the requested scopes."""

from __future__ import annotations

import pytest

from berth.api.reasons import Reason
from berth.api.token import TokenScope
from berth.authz.grant import Grant, grant
from berth.authz.model import ANONYMOUS, CredentialKind, Identity
from berth.oci.scope import Scope, parse_scopes
from tests.kit.authz.worlds import NOW, READER, SERVICE, lab, person

EVERYTHING = Scope("repository", "genomics/aligner", ("pull", "push", "delete"))


@pytest.mark.parametrize(
    ("identity", "actions"),
    [
        (person("stranger"), ()),
        (person("viewer"), ()),
        (person("reader"), ("pull",)),
        (person("novice"), ("pull",)),
        (person("editor"), ("pull", "push")),
        (person("deleter"), ("pull", "push", "delete")),
        (person("admin"), ("pull", "push", "delete")),
        (person("admin", TokenScope.DOWNLOAD), ("pull",)),
        (person("admin", TokenScope.MODIFY), ("delete",)),
        (person("disabled"), ()),
        (person("former"), ()),
        (ANONYMOUS, ()),
        (Identity(CredentialKind.FAILED, "admin", failure=Reason.BAD_CREDENTIALS), ()),
        (SERVICE, ("pull", "push")),
        (READER, ("pull",)),
    ],
)
def test_a_grant_is_the_intersection(identity: Identity, actions: tuple[str, ...]) -> None:
    granted = grant(lab(), identity, [EVERYTHING], NOW)
    assert granted.access == ((Grant("repository", "genomics/aligner", actions),) if actions else ())
    assert granted.requested == {"genomics/aligner": ("pull", "push", "delete")}


def test_the_requested_order_and_number_stay() -> None:
    granted = grant(lab(), person("editor"), parse_scopes(["repository:genomics/aligner:push,pull"]), NOW)
    assert granted.access == (Grant("repository", "genomics/aligner", ("push", "pull")),)
    assert granted.access[0].project == "genomics"


def test_the_catalog_of_a_registry_is_for_own_processes_alone() -> None:
    scopes = parse_scopes(["registry:catalog:*"])
    for process in (SERVICE, READER):
        granted = grant(lab(), process, scopes, NOW)
        assert granted.access == (Grant("registry", "catalog", ("*",)),)
        assert granted.access[0].project == ""
        assert granted.requested == {}
    for identity in (person("admin"), ANONYMOUS, Identity(CredentialKind.FAILED)):
        assert grant(lab(), identity, scopes, NOW).access == ()


@pytest.mark.parametrize(
    "text",
    [
        "repository:aligner:pull",
        "repository:other/aligner:pull",
        "repository:host:5000/genomics/aligner:pull",
        "repository:genomics/aligner:fly",
        "repository:genomics/aligner:",
        "image:genomics/aligner:pull",
        "registry:other:*",
        "registry:catalog:pull",
    ],
)
def test_what_can_never_be_granted_is_left_out_without_an_error(text: str) -> None:
    assert grant(lab(), SERVICE, parse_scopes([text]), NOW).access == ()


@pytest.mark.parametrize(
    ("name", "actions"), [("admin", ("pull", "push", "delete")), ("viewer", ()), ("novice", ("pull",))]
)
def test_a_star_asks_for_everything_that_may_be_done_to_a_repository(name: str, actions: tuple[str, ...]) -> None:
    granted = grant(lab(), person(name), parse_scopes(["repository:genomics/aligner:*"]), NOW)
    assert tuple(action for entry in granted.access for action in entry.actions) == actions
    assert granted.requested == {"genomics/aligner": ("pull", "push", "delete")}
