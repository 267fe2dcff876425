"""What the gateway and a client agree on when they shake hands."""

from __future__ import annotations

import socket
import ssl

import pytest

from tests.kit.gateway.running import HOST
from tests.kit.gateway.stage import Stage

V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
CHACHA_FIRST = "ECDHE+CHACHA20:ECDHE+AESGCM"
AES_256_FIRST = "ECDHE+AES256:ECDHE+AESGCM:ECDHE+CHACHA20"


def agreed(stage: Stage, version: ssl.TLSVersion, ciphers: str) -> str:
    """The cipher suite of a connection with a client of this version; `ciphers` are what it takes in TLS 1.2."""
    context = stage.gateway.tls()
    context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers)
    with (
        socket.create_connection((HOST, stage.gateway.settings.port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as stream,
    ):
        suite = stream.cipher()
    assert suite is not None
    return suite[0]


@pytest.mark.parametrize(
    ("version", "ciphers", "suite"),
    [
        (V1_3, AES_256_FIRST, "TLS_AES_128_GCM_SHA256"),
        (V1_2, AES_256_FIRST, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (V1_2, "ECDHE+AES256", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        (V1_2, CHACHA_FIRST, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ],
)
def test_the_cheapest_suite_is_agreed_on_unless_the_client_has_it_not_or_has_no_aes_in_hardware(
    stage: Stage, version: ssl.TLSVersion, ciphers: str, suite: str
) -> None:
    assert agreed(stage, version, ciphers) == suite


def test_a_suite_without_forward_secrecy_is_refused(stage: Stage) -> None:
    with pytest.raises(ssl.SSLError):
        agreed(stage, V1_2, "AES128-GCM-SHA256")
