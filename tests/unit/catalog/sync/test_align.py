"""Which writes a reader of a registry must respect, and manifests that Berth would refuse today."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from berth.catalog.model import Intent, RepositoryKey, Write, WriteKind, WriteState, is_digest
from berth.catalog.sync.align import WriteMark, digest_of_head, parse_stored
from berth.catalog.sync.schedule import is_running
from berth.oci.manifest import OCI_MANIFEST

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = RepositoryKey("genomics", "tools/aligner")
DIGEST = "sha256:" + "a" * 64


def write(state: WriteState = WriteState.OPEN, *, name: str = "one", at: datetime = NOW) -> Write:
    return Write(name, Intent(WriteKind.PUSH, KEY, "v1", DIGEST, OCI_MANIFEST, "curator"), at, state)


def test_a_write_settled_before_the_mark_is_not_recent() -> None:
    settled = write(WriteState.COMMITTED)
    assert WriteMark.of([settled]).writes_since([settled], NOW) == []


@pytest.mark.parametrize("state", list(WriteState))
def test_a_write_announced_after_the_mark_is_recent(state: WriteState) -> None:
    assert WriteMark.of([]).writes_since([write(state)], NOW + timedelta(days=1)) == [write().intent]


def test_a_write_settled_after_the_mark_is_recent() -> None:
    mark = WriteMark.of([write()])
    assert mark.writes_since([write(WriteState.ABANDONED)], NOW + timedelta(days=1)) == [write().intent]


@pytest.mark.parametrize(("overdue_before", "recent"), [(NOW, True), (NOW + timedelta(seconds=1), False)])
def test_an_open_write_is_in_progress_until_it_is_overdue(overdue_before: datetime, recent: bool) -> None:
    assert bool(WriteMark.of([write()]).writes_since([write()], overdue_before)) is recent


def test_the_write_being_settled_is_not_recent_and_others_are() -> None:
    other = write(name="other")
    assert WriteMark.of([]).writes_since([write(), other], NOW, settling="one") == [other.intent]


def test_an_invalid_manifest_keeps_its_type_and_size() -> None:
    stored = parse_stored(b"nonsense", "application/x-old")
    assert (stored.media_type, stored.manifest_size, stored.children) == ("application/x-old", 8, ())


def test_a_missing_reference_has_no_digest() -> None:
    assert digest_of_head(None) is None


def test_a_reference_with_a_colon_is_a_digest() -> None:
    assert is_digest(DIGEST)
    assert not is_digest("v1")


@pytest.mark.parametrize(
    ("metadata", "spec", "running"),
    [
        ({}, {}, True),
        ({}, {"suspend": False}, True),
        ({}, {"suspend": True}, False),
        ({"deletionTimestamp": "2026-11-24T12:00:00Z"}, {}, False),
    ],
)
def test_only_projects_in_use_are_walked(metadata: dict[str, str], spec: dict[str, bool], running: bool) -> None:
    assert is_running({"metadata": metadata, "spec": spec}) is running
