"""The configuration follows its inputs, and nginx follows the configuration."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from berth.services.gateway.process import LOOK_SECONDS, RETRY_SECONDS, Watcher
from tests.kit.gateway.running import HOST, wait_for, write_certificate
from tests.kit.gateway.stage import Stage


@pytest.fixture
def watcher(stage: Stage) -> Watcher:
    """A watcher that has applied the present state to nginx."""
    watcher = Watcher(stage.gateway.settings)
    wait_for((stage.gateway.settings.output_dir / "nginx.pid").exists)
    watcher.look()
    assert watcher.applied
    return watcher


def served_certificate(stage: Stage) -> str:
    return ssl.get_server_certificate((HOST, stage.gateway.settings.port))


def test_a_renewed_token_is_what_access_sees(stage: Stage, watcher: Watcher) -> None:
    stage.gateway.settings.gateway_token_file.write_text("renewed.token\n")
    watcher.look()
    # An old worker may still take a connection while it ends.
    wait_for(lambda: stage.gateway.request("GET", "/v2/").status == 200 and last_token(stage) == "renewed.token")


def last_token(stage: Stage) -> str:
    return str(stage.judged[-1].headers["Berth-Gateway-Token"])


def test_a_renewed_certificate_is_what_clients_see(stage: Stage, watcher: Watcher) -> None:
    before = served_certificate(stage)
    write_certificate(stage.gateway.settings.tls_dir)
    watcher.look()
    wait_for(lambda: served_certificate(stage) != before)


def test_a_certificate_that_does_not_fit_its_key_leaves_the_old_one_and_is_tried_again(
    stage: Stage, watcher: Watcher, tmp_path: Path
) -> None:
    before, applied = served_certificate(stage), watcher.applied
    good_key = (stage.gateway.settings.tls_dir / "tls.key").read_bytes()
    write_certificate(tmp_path / "other")
    (stage.gateway.settings.tls_dir / "tls.key").write_bytes((tmp_path / "other" / "tls.key").read_bytes())
    watcher.look()
    assert (watcher.applied, watcher.pause) == (applied, RETRY_SECONDS)
    assert served_certificate(stage) == before
    assert any("key values mismatch" in line for line in stage.gateway.error_log)

    (stage.gateway.settings.tls_dir / "tls.key").write_bytes(good_key)
    watcher.look()
    assert (watcher.applied, watcher.pause) == (applied, LOOK_SECONDS)


def test_nothing_new_leaves_nginx_alone(stage: Stage, watcher: Watcher) -> None:
    wait_for(lambda: len(stage.gateway.workers()) == 1)
    before = stage.gateway.workers()
    watcher.look()
    assert stage.gateway.workers() == before


def test_a_token_that_is_away_for_a_moment_is_reported_and_changes_nothing(stage: Stage, watcher: Watcher) -> None:
    stage.gateway.settings.gateway_token_file.unlink()
    before = (stage.gateway.settings.output_dir / "token.conf").read_text()
    with capture_logs() as logged:
        watcher.look()
    assert watcher.pause == RETRY_SECONDS
    assert (stage.gateway.settings.output_dir / "token.conf").read_text() == before
    assert stage.gateway.request("GET", "/v2/").status == 200
    (line,) = logged
    assert line["log_level"] == "error"
    assert "BERTH_GATEWAY_TOKEN_FILE" in line["problem"]


def test_the_written_files_are_readable_by_their_owner_alone_and_only_one_holds_the_token(stage: Stage) -> None:
    folder = stage.gateway.settings.output_dir
    token = stage.gateway.settings.gateway_token_file.read_text()
    assert (folder / "token.conf").stat().st_mode & 0o777 == 0o600
    assert token in (folder / "token.conf").read_text()
    assert token not in (folder / "nginx.conf").read_text()
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["nginx.conf", "nginx.pid", "token.conf"]
