"""The demonstration plays from no cluster to its end, and once more after manual changes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.suite.world import ROOT, Cluster

STATE = Path("/var/lib/berth-played")


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster beside that of the other tests, which the demonstration boots; gone afterwards."""
    monkeypatch.setenv("BERTH_CLUSTER", str(STATE))
    try:
        yield Cluster(STATE)
    finally:
        subprocess.run([str(ROOT / "e2e/cluster/down")], check=True, capture_output=True, timeout=120)


def test_the_demonstration_can_be_played_again_after_playing_around(beside: Cluster) -> None:
    first = _play()
    beside.patch("project", "genomics", {"spec": {"trashed": True}}).must()
    beside.patch("dockerrepository", "hello", {"spec": {"trashed": True}}, "berth-pipelines").must()
    beside.patch("registryuser", "author", {"spec": {"disabled": True}}).must()
    beside.kubectl("delete", "certification", "author").must()
    beside.apply(_certification("newcomer"))
    beside.kubectl("delete", "namespace", "analysis").must()
    again = _play()
    assert _titles(again) == _titles(first)
    assert _titles(again)[-1] == "Done"
    assert _secrets_in(first + again) == []


def _certification(user: str) -> dict[str, Any]:
    return {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Certification",
        "metadata": {"name": f"{user}-by-hand"},
        "spec": {"subject": {"kind": "User", "name": user}, "certifiedBy": "the test"},
    }


def _play() -> str:
    done = subprocess.run(
        [str(ROOT / "e2e/demo")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"e2e/demo exited {done.returncode}:\n{done.stdout}"
    return done.stdout


def _titles(said: str) -> list[str]:
    return re.findall(r"== (.+?)\x1b", said)


def _secrets_in(said: str) -> list[str]:
    """What may not be printed: passwords of the people, access tokens, JWTs, hashes."""
    passwords = [path.read_text().strip() for path in (STATE / "demo").glob("*/password")]
    assert len(passwords) == 6
    forms = re.compile(r"berth_[0-9A-Za-z]{40,}|eyJ[\w-]+\.eyJ|\$argon2")
    return [password for password in passwords if password in said] + forms.findall(said)
