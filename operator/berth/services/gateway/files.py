"""Inputs of the gateway's configuration, and the files made from them."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from berth.render.gateway import (
    CONFIGURATION,
    TOKEN_INCLUDE,
    GatewayConfig,
    GatewayToken,
    render_nginx,
    render_token,
)
from berth.settings import GatewaySettings

RESOLV_CONF = Path("/etc/resolv.conf")
IPV6_INTERFACES = Path("/proc/net/if_inet6")  # exists only if the kernel has IPv6
CERTIFICATE, KEY = "tls.crt", "tls.key"

_NAMESERVER = re.compile(r"^\s*nameserver\s+(\S+)", re.MULTILINE)


class ConfigurationError(Exception):
    """The configuration cannot be written; the text is one sentence for people."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that the files depend on."""

    config: GatewayConfig
    token: GatewayToken
    tls_digest: str

    @property
    def digest(self) -> str:
        """Changes with the files that nginx reads. Not reversible, so the token may be part of it."""
        parts = (render_nginx(self.config), render_token(self.token), self.tls_digest)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def read_inputs(settings: GatewaySettings, resolv_conf: Path = RESOLV_CONF) -> Inputs:
    """Read the inputs. Raises `ConfigurationError` with the file and the next step."""
    token = _read(settings.gateway_token_file, "BERTH_GATEWAY_TOKEN_FILE").decode("ascii", "replace").strip()
    pair = [_read(settings.tls_dir / name, "BERTH_TLS_DIR") for name in (CERTIFICATE, KEY)]
    try:
        config = GatewayConfig(
            host=settings.host,
            port=settings.port,
            health_port=settings.health_port,
            access_upstream=settings.access_upstream,
            resolver=settings.resolver or nameserver(resolv_conf),
            tls_dir=PurePosixPath(settings.tls_dir),
            output_dir=PurePosixPath(settings.output_dir),
            workers=settings.workers,
            ipv6=IPV6_INTERFACES.exists(),
        )
        return Inputs(config, GatewayToken(token), hashlib.sha256(b"\0".join(pair)).hexdigest())
    except ValueError as problem:
        raise ConfigurationError(f"{problem}.") from None


def nameserver(resolv_conf: Path) -> str:
    """The first DNS server of a resolv.conf (resolv.conf(5)), in the notation of nginx."""
    found = _NAMESERVER.search(resolv_conf.read_text() if resolv_conf.exists() else "")
    if not found:
        raise ConfigurationError(f"{resolv_conf} names no DNS server: set BERTH_RESOLVER to the address of one.")
    address = found.group(1)
    return f"[{address}]" if ":" in address else address


def write_files(inputs: Inputs, output_dir: Path) -> None:
    """Write the configuration and the include file with the token, each atomically."""
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        _replace(output_dir / TOKEN_INCLUDE, render_token(inputs.token))
        _replace(output_dir / CONFIGURATION, render_nginx(inputs.config))
    except OSError as problem:
        raise ConfigurationError(
            f"{problem.filename} cannot be written ({problem.strerror}): make BERTH_OUTPUT_DIR writable."
        ) from None


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    # Created with mode 0600, because a later chmod would leave a moment in which others can read it.
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    fresh.replace(path)


def _read(path: Path, variable: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise ConfigurationError(
            f"{path} cannot be read ({problem.strerror}): mount it, or correct {variable}."
        ) from None
