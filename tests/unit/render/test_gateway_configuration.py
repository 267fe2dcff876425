"""The text of the gateway's configuration."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from berth.api.names import PROJECT_ID_PATTERN, RESERVED_PROJECT_IDS
from berth.render.gateway import GatewayConfig, GatewayToken, render_nginx, render_token
from berth.render.nginx_errors import NGINX_ERRORS, errors_body

CONFIG = GatewayConfig(
    host="registry.example.org",
    port=8443,
    health_port=8080,
    access_upstream="berth-access.berth-system.svc.cluster.local:80",
    resolver="10.96.0.10",
    tls_dir=PurePosixPath("/var/run/secrets/berth/tls"),
    output_dir=PurePosixPath("/run/berth-gateway"),
    workers=2,
)


def test_blobs_are_never_buffered_on_disk_and_never_limited_in_size() -> None:
    (v2,) = re.findall(r"location ~ \"\^/v2.*?\n        }\n", render_nginx(CONFIG), re.DOTALL)
    for directive in ("proxy_request_buffering off;", "proxy_max_temp_file_size 0;", "client_max_body_size 0;"):
        assert directive in v2


def test_the_configuration_does_not_depend_on_how_many_projects_there_are() -> None:
    assert render_nginx(CONFIG) == render_nginx(CONFIG)
    assert "genomics" not in render_nginx(CONFIG)


def test_every_path_that_the_gateway_answers_itself_is_reserved_and_names_no_project() -> None:
    served = set(re.findall(r"location (?:= |\^~ )?/([^\s/]+)", render_nginx(CONFIG)))
    served |= set(re.findall(r'location ~ "\^/([a-z0-9]+)', render_nginx(CONFIG)))
    assert {"token", "why", "authz", "v2", "healthz"} <= served
    ids = {path for path in served if re.fullmatch(PROJECT_ID_PATTERN, path)}
    assert ids - RESERVED_PROJECT_IDS == set()


def test_every_file_that_nginx_writes_lies_in_the_output_folder() -> None:
    text = render_nginx(CONFIG)
    paths = re.findall(r"^\s*(?:pid|\w+_temp_path|include) (\S+);", text, re.MULTILINE)
    assert len(paths) == 7
    assert all(path.startswith("/run/berth-gateway/") for path in paths)
    assert "access_log /dev/stdout berth;" in text
    assert "error_log stderr warn;" in text


@pytest.mark.parametrize("error", NGINX_ERRORS, ids=lambda error: error.status)
def test_every_error_is_one_sentence_in_the_form_that_clients_show(error: object) -> None:
    one = next(known for known in NGINX_ERRORS if known is error)
    body = json.loads(errors_body(one.code, one.message).replace("\\'", "'"))
    assert list(body) == ["errors"]
    assert body["errors"] == [{"code": one.code, "message": one.message}]
    assert re.fullmatch(r"[A-Z$].*: .*[^.]\.", one.message), "say what is wrong, then the next step"
    assert len(one.message) <= 200
    assert 400 <= one.response_status <= 507
    assert one.response_status not in {494, 495, 496, 497}, "a number of nginx's own"


def test_ipv6_is_listened_on_and_looked_up_only_where_there_is_ipv6() -> None:
    assert "[::]" not in render_nginx(CONFIG)
    assert "resolver 10.96.0.10 valid=10s ipv6=off;" in render_nginx(CONFIG)
    six = render_nginx(replace(CONFIG, ipv6=True, resolver="[fd00::a]"))
    assert "listen [::]:8443 ssl http2;" in six
    assert "resolver [fd00::a] valid=10s;" in six


@pytest.mark.parametrize(
    ("change", "variable"),
    [
        ({"host": "registry.example.org; include /etc/passwd"}, "BERTH_HOST"),
        ({"host": "https://registry.example.org"}, "BERTH_HOST"),
        ({"access_upstream": "berth-access"}, "BERTH_ACCESS_UPSTREAM"),
        ({"resolver": "dns.example.org"}, "BERTH_RESOLVER"),
        ({"tls_dir": PurePosixPath("/tls dir")}, "BERTH_TLS_DIR"),
        ({"output_dir": PurePosixPath("run")}, "BERTH_OUTPUT_DIR"),
    ],
)
def test_a_value_that_would_change_the_configurations_meaning_is_refused(
    change: dict[str, object], variable: str
) -> None:
    with pytest.raises(ValueError, match=variable):
        replace(CONFIG, **change)  # type: ignore[arg-type]


def test_a_token_that_is_none_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match="BERTH_GATEWAY_TOKEN_FILE") as refused:
        GatewayToken('abc"; include /etc/passwd; #')
    assert "passwd" not in str(refused.value)


def test_the_token_is_in_no_repr() -> None:
    token = GatewayToken("abc.def")
    assert "abc.def" in render_token(token)
    assert "abc.def" not in repr(token)
