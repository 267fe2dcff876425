"""The last known policy on disk."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from berth.api.policy import PolicyState
from berth.api.project import RepositoryCreation
from berth.api.sharing import SharingLevel, SubjectKind
from berth.api.token import TokenScope
from berth.authz.model import AccessTokenRecord, ProjectPolicy, RepositoryPolicy, Rule, Snapshot, Subject, User
from berth.snapshot.store import FILE_NAME, FORMAT, PolicySaver, PolicyStore, StoredPolicy

END = datetime(2027, 1, 1, tzinfo=UTC)
ANN = Subject(SubjectKind.USER, "ann")
RULES = tuple(Rule(kind, "n/a", level) for kind in SubjectKind for level in SharingLevel)
SNAPSHOT = Snapshot(
    generation=7,
    projects={
        "genomics": ProjectPolicy(
            "genomics",
            rules=RULES,
            state=PolicyState.SUSPENDED,
            creation=RepositoryCreation.DECLARED,
            layer_size_limit=5,
            repositories={
                "inherits": RepositoryPolicy("inherits", has_content=True),
                "not/shared": RepositoryPolicy("not/shared", rules=(), state=PolicyState.TRASHED),
                "own": RepositoryPolicy("own", rules=RULES[:2], external=True),
            },
        )
    },
    users={"ann": User("ann", password_hash="$argon2id$canary"), "bot": User("bot", robot=True, disabled=True)},
    tokens={"ab" * 32: AccessTokenRecord("laptop", ANN, frozenset({TokenScope.VIEW}), END)},
    teams_of={ANN: frozenset({"a", "b"}), Subject(SubjectKind.GROUP, "g,1"): frozenset({"a"})},
    aliases={Subject(SubjectKind.SERVICE_ACCOUNT, "builders/ci"): frozenset({"bot"})},
    certifications={ANN: END, Subject(SubjectKind.ROBOT, "bot"): None},
)
STORED = StoredPolicy(SNAPSHOT, 1_800_000_000.25, {"issuer": "https://i", "keys": [{"kid": "k"}]})


def test_a_saved_policy_is_loaded_unchanged(tmp_path: Path) -> None:
    PolicyStore(tmp_path).save(STORED)
    assert PolicyStore(tmp_path).load() == STORED


def test_only_the_owner_can_read_the_file_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        PolicyStore(tmp_path).save(STORED)
    finally:
        os.umask(mask)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_without_a_file_there_is_no_policy(tmp_path: Path) -> None:
    assert PolicyStore(tmp_path).load() is None
    assert PolicyStore(tmp_path / "absent").load() is None


def test_a_file_that_was_truncated_or_changed_anywhere_is_not_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = PolicyStore(tmp_path)
    store.save(STORED)
    whole = (tmp_path / FILE_NAME).read_bytes()
    step = max(len(whole) // 97, 1)
    for place in (*range(0, len(whole), step), len(whole) - 1):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            (tmp_path / FILE_NAME).write_bytes(damaged)
            assert store.load() is None, place
    assert "canary" not in capsys.readouterr().out


def test_a_file_of_another_format_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berth.snapshot.store.FORMAT", FORMAT + 1)
    PolicyStore(tmp_path).save(STORED)
    monkeypatch.undo()
    assert PolicyStore(tmp_path).load() is None


def test_a_failed_save_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PolicyStore(tmp_path)
    store.save(STORED)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        store.save(replace(STORED, last_event_at=9e9))
    assert store.load() == STORED
    assert len(list(tmp_path.iterdir())) == 1


async def test_the_saver_writes_changes_and_the_time_every_half_minute(tmp_path: Path) -> None:
    store = PolicyStore(tmp_path)
    present: list[StoredPolicy | None] = [None]
    saver = PolicySaver(store, lambda: present[0])
    await saver.save_if_changed()
    assert store.load() is None
    present[0] = STORED
    await saver.save_if_changed()
    (tmp_path / FILE_NAME).unlink()
    present[0] = replace(STORED, last_event_at=STORED.last_event_at + 29)
    await saver.save_if_changed()
    assert store.load() is None
    present[0] = replace(STORED, last_event_at=STORED.last_event_at + 30)
    await saver.save_if_changed()
    assert store.load() == present[0]
    present[0] = replace(STORED, snapshot=replace(SNAPSHOT, generation=8))
    await saver.save_if_changed()
    assert store.load() == present[0]


async def test_the_saver_continues_after_a_failed_write(tmp_path: Path) -> None:
    store = PolicyStore(tmp_path / "absent")
    saver = PolicySaver(store, lambda: STORED)
    await saver.save_if_changed()
    (tmp_path / "absent").mkdir()
    await saver.save_if_changed()
    assert store.load() == STORED
