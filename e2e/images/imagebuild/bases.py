"""Bases for the Dockerfiles, made of Debian packages: the stand-ins for the public images that a release names.

Packages are unpacked, not installed: no maintainer script runs, so nothing comes in but their files (mmdebstrap(1),
variant extract). What the scripts would have done and is needed, the hooks do.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imagebuild.failure import BuildFailed, tail
from imagebuild.oci import Settings, write_archive

SUITE = "bookworm"
LIMIT_SECONDS = 15 * 60
# A host of the same suite knows where its packages come from; any other uses Debian's own place.
HOST_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")

_SMALLER = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\\n",
    "etc/group": "root:x:0:\\nnonroot:x:65532:\\n",
}
_CERTIFICATES = (
    'find "$1/usr/share/ca-certificates" -name "*.crt" | sort | xargs cat > "$1/etc/ssl/certs/ca-certificates.crt"'
)
# Python's own modules as byte code, since the root file system is read-only when it runs.
_COMPILE = 'chroot "$1" /usr/bin/python3.11 -m compileall -q -j 0 /usr/lib/python3.11'


# A Python and no other program: nothing that an intruder could use.
_PYTHON_ALONE = 'find "$1/bin" "$1/sbin" "$1/usr/bin" "$1/usr/sbin" ! -type d ! -name "python3*" -delete'
_PYTHON_LINK = 'ln -sf python3.11 "$1/usr/bin/python3"'
_SHELL_LINK = 'ln -sf dash "$1/bin/sh"'


@dataclass(frozen=True)
class Base:
    """A root file system: its packages and what is done to it (`$1` is its root)."""

    name: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...]

    def all_hooks(self) -> tuple[str, ...]:
        accounts = (f'printf {shlex.quote(text)} > "$1/{path}"' for path, text in _ACCOUNTS.items())
        return (*accounts, _CERTIFICATES, *self.hooks)


_COMMON = ("base-files", "tzdata", "ca-certificates")
# libstdc++ is for Python extensions written in C++ (greenlet).
_PYTHON = (*_COMMON, "netbase", "media-types", "python3.11-minimal", "libpython3.11-stdlib", "libstdc++6")

BASES = (
    Base("base-python", _PYTHON, (_PYTHON_LINK, _COMPILE, _PYTHON_ALONE)),
    Base(
        "base-build",
        (*_PYTHON, "dash", "coreutils", "python3-pip", "python3-distutils"),
        (_PYTHON_LINK, _SHELL_LINK),
    ),
    Base("base-nginx", (*_COMMON, "nginx", "dash"), (_SHELL_LINK,)),
    # The demonstration puts crane on top of it, and CI in the cluster pushes with that.
    Base("base-shell", (*_COMMON, "dash"), (_SHELL_LINK,)),
)


def build_base(base: Base, name: str, scratch: Path, target: Path) -> None:
    """Make the base and write it as an archive of one layer."""
    layer, log = scratch / f"{base.name}.layer", scratch / f"{base.name}.log"
    with log.open("wb") as output:
        done = subprocess.run(
            command(base, layer), stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=LIMIT_SECONDS
        )
    if done.returncode != 0:
        raise BuildFailed(f"{base.name}: mmdebstrap ended with {done.returncode}; the end of {log}:\n{tail(log)}")
    write_archive(layer, Settings(entrypoint=(), command=("/bin/sh",), user=""), name, target)
    layer.unlink()


def command(base: Base, layer: Path) -> Sequence[str]:
    """What makes the base; it decides what comes out, the versions of Debian's packages aside."""
    line = ["mmdebstrap", "--variant=extract", "--format=tar", f"--include={','.join(base.packages)}"]
    line += [f"--dpkgopt=path-exclude={pattern}" for pattern in _SMALLER]
    line += [f"--extract-hook={hook}" for hook in base.all_hooks()]
    line += [SUITE, str(layer)]
    if HOST_SOURCES.exists() and f"Suites: {SUITE}" in HOST_SOURCES.read_text():
        line.append(str(HOST_SOURCES))
    return line
