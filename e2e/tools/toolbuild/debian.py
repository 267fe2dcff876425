"""Installs the Debian packages that the tools need, without letting any of them start a service."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

INSTALL_LIMIT_SECONDS = 20 * 60
POLICY = Path("/usr/sbin/policy-rc.d")

# A file that the package brings (a pattern), so that it may have come by another way, and the package.
PACKAGES: tuple[tuple[str, str], ...] = (
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/sbin/iptables", "iptables"),
    ("/bin/ip", "iproute2"),
    ("/usr/sbin/conntrack", "conntrack"),
    ("/usr/bin/nsenter", "util-linux"),
    ("/usr/bin/openssl", "openssl"),
    ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
    ("/usr/bin/skopeo", "skopeo"),
    ("/usr/bin/podman", "podman"),
    ("/usr/bin/buildah", "buildah"),
    ("/usr/sbin/nginx", "nginx"),
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
    ("/usr/bin/wrk", "wrk"),
    ("/usr/lib/postgresql/*/bin/postgres", "postgresql"),
)


class InstallError(Exception):
    """Packages are missing and could not be installed; the text is for people."""


def missing() -> list[str]:
    """The packages that this machine lacks."""
    return [package for sign, package in PACKAGES if not any(Path("/").glob(sign.lstrip("/")))]


def install(packages: Sequence[str]) -> None:
    """Install packages with apt; their services stay stopped."""
    if os.geteuid() != 0:
        raise InstallError(f"run as root, or install them first: apt-get install {' '.join(packages)}")
    if not shutil.which("apt-get"):
        raise InstallError(f"this is no Debian; install what holds: {', '.join(packages)}")
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    wanted = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", *packages]
    with _no_services():
        _run(["apt-get", "update", "-qq"], quiet)
        _run(wanted, quiet)


def _run(command: Sequence[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_LIMIT_SECONDS,
    )
    if done.returncode != 0:
        end = "\n".join(f"  | {line}" for line in done.stdout.splitlines()[-20:])
        raise InstallError(f"`{' '.join(command)}` ended with {done.returncode}:\n{end}")


@contextmanager
def _no_services() -> Iterator[None]:
    """While this lasts, packages that are installed may not start services. A policy that is there stays in force."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
