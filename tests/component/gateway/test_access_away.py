"""Access is not there at all."""

from __future__ import annotations

from pathlib import Path

from tests.kit.gateway.running import free_port, gateway_settings, run_gateway, write_certificate


def test_while_access_is_away_the_response_says_to_try_again(tmp_path: Path) -> None:
    write_certificate(tmp_path / "tls")
    with run_gateway(gateway_settings(tmp_path, free_port())) as gateway:
        pull = gateway.request("GET", "/v2/genomics/aligner/manifests/v1")
        token = gateway.request("GET", "/token?service=berth")
    assert pull.status == 503
    assert "Berth cannot check permissions" in pull.error()["message"]
    assert token.status == 502
    assert token.error()["message"].startswith("Berth's access service does not answer: try again in a minute")
