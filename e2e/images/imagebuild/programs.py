"""Images of one static program each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imagebuild.failure import BuildFailed
from imagebuild.oci import Entry, Settings, write_archive, write_layer

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
GO_LIMIT_SECONDS = 10 * 60
# The unmodified registry's own conventions: https://github.com/distribution/distribution-library-image
REGISTRY_CONFIGURATION = b"""version: 0.1
log: {fields: {service: registry}}
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000"}
"""


@dataclass(frozen=True)
class Program:
    """An image of one program: its path in the image, how it is run, what lies beside it."""

    target: str
    settings: Settings
    beside: Mapping[str, Entry] = field(default_factory=dict)


PAUSE = Program("pause", Settings(entrypoint=("/pause",)))
HELLO = Program(
    "hello", Settings(entrypoint=("/hello",), labels={"org.opencontainers.image.title": "hello", "app": "hello"})
)
REGISTRY = Program(
    "bin/registry",
    Settings(
        entrypoint=("registry",),
        command=("serve", "/etc/distribution/config.yml"),
        environment={"PATH": "/bin", "OTEL_TRACES_EXPORTER": "none"},
        labels={"org.opencontainers.image.title": "CNCF Distribution"},
    ),
    {
        "etc/distribution/config.yml": Entry(REGISTRY_CONFIGURATION),
        "etc/ssl/certs/ca-certificates.crt": Entry(CERTIFICATES),
        "etc/passwd": Entry(b"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"),
        "var/lib/registry": Entry(None, 0o755, 65532),
        "tmp": Entry(None, 0o1777),
    },
)


def build_program(program: Program, binary: Path, name: str, scratch: Path, target: Path) -> None:
    """Write the image of a program as an archive of one layer."""
    layer = scratch / f"{target.stem}.layer"
    write_layer({program.target: Entry(binary, 0o755), **program.beside}, layer)
    write_archive(layer, program.settings, name, target)
    layer.unlink()


def compile_hello(source: Path, target: Path) -> None:
    """Compile the demonstration's program."""
    if not shutil.which("go"):
        raise BuildFailed("hello is built with Go: install Go 1.24 or newer and put `go` on PATH")
    done = subprocess.run(
        ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(target), "."],
        cwd=source,
        env=os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=GO_LIMIT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise BuildFailed(f"hello: go build ended with {done.returncode}:\n{done.stderr}")


def pinned_registry_version(go_mod: Path) -> str:
    """The version of Distribution that the tools pin, as its image is tagged."""
    found = re.search(r"github\.com/distribution/distribution/v3 v(\S+)", go_mod.read_text())
    if not found:
        raise BuildFailed(f"{go_mod} pins no Distribution")
    return found.group(1)
