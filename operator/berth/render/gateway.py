"""Renders the gateway's nginx configuration. Pure, except for reading its template.

The configuration has no rule about permissions: access decides every request and returns what nginx sends.
Directives: https://nginx.org/en/docs/; what they cost is in docs/adr/0004-gateway.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from berth.render.nginx_errors import NGINX_ERRORS, REFUSAL_STATUSES, errors_body

CONFIGURATION: Final = "nginx.conf"
TOKEN_INCLUDE: Final = "token.conf"
PID_FILE: Final = "nginx.pid"

# Folders for temporary files below the output folder, because the root file system is read-only.
TEMPORARY_FOLDERS: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

_HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]{1,5})?")
_HOST_PORT = re.compile(r"([A-Za-z0-9._-]+):([0-9]{1,5})")
_RESOLVER = re.compile(r"(?:[0-9.]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PATH = re.compile(r"/[A-Za-z0-9._/-]+")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


@dataclass(frozen=True, slots=True)
class Buffers:
    """Buffers of one request, in KiB. The defaults are measured (docs/adr/0004-gateway.md).

    A download takes at most `count` * `size`, an upload `body`.
    """

    count: int = 16
    size: int = 128
    body: int = 1024


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """The inputs of the configuration. Raises `ValueError` with one sentence for invalid ones."""

    host: str  # in the form that clients use, with the port unless it is 443
    port: int
    health_port: int
    access_upstream: str  # host:port
    resolver: str  # address of a DNS server
    tls_dir: PurePosixPath
    output_dir: PurePosixPath
    workers: int
    ipv6: bool = False  # also listen on IPv6
    buffers: Buffers = Buffers()

    def __post_init__(self) -> None:
        _check("BERTH_HOST", _HOST, self.host, "a host name, with `:port` unless it is 443")
        _check("BERTH_ACCESS_UPSTREAM", _HOST_PORT, self.access_upstream, "host:port")
        _check("BERTH_RESOLVER", _RESOLVER, self.resolver, "the IP address of a DNS server")
        _check("BERTH_TLS_DIR", _PATH, str(self.tls_dir), "an absolute path without special characters")
        _check("BERTH_OUTPUT_DIR", _PATH, str(self.output_dir), "an absolute path without special characters")

    @property
    def access_name(self) -> str:
        """The host of access, without the port; nginx uses it as the name of the upstream."""
        return self.access_upstream.rpartition(":")[0]

    @property
    def ipv6_lookups(self) -> bool:
        """Whether names of registries are also looked up as IPv6: if the DNS server has an IPv6 address."""
        return self.resolver.startswith("[")


@dataclass(frozen=True, slots=True)
class GatewayToken:
    """The ServiceAccount token of the gateway for access. The repr leaves it out."""

    value: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.value):
            raise ValueError("the gateway's ServiceAccount token is not valid: check the file BERTH_GATEWAY_TOKEN_FILE")


def render_nginx(config: GatewayConfig) -> str:
    """The text of nginx.conf. It includes the file with the token and has no secret itself."""
    return _ENVIRONMENT.get_template("nginx.conf.j2").render(
        config=config,
        access_pattern=re.escape(config.access_name),
        access_port=config.access_upstream.rpartition(":")[2],
        token_include=config.output_dir / TOKEN_INCLUDE,
        pid_file=config.output_dir / PID_FILE,
        temporary_folders=TEMPORARY_FOLDERS,
        errors=NGINX_ERRORS,
        refusal_statuses=REFUSAL_STATUSES,
        errors_body=errors_body,
        nothing_here=_body_of(404),
    )


def render_token(token: GatewayToken) -> str:
    """The text of the include file with the token, which only the gateway may read.

    A `map` of a constant, which is how nginx sets a variable in an include file.
    """
    return f'map "" $berth_gateway_token {{\n    default "{token.value}";\n}}\n'


def _body_of(status: int) -> str:
    error = next(error for error in NGINX_ERRORS if error.status == status)
    return errors_body(error.code, error.message)


def _check(variable: str, pattern: re.Pattern[str], value: str, form: str) -> None:
    if not pattern.fullmatch(value):
        raise ValueError(f"correct {variable}: it must be {form}")


_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("berth.render"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - the text is no HTML; every value is checked by GatewayConfig
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
