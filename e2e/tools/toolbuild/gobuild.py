"""Builds one tool into the cache, unless the same thing is there already."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolbuild.plan import Tool, base_name

LOG_LINES_SHOWN = 25
BUILD_LIMIT_SECONDS = 45 * 60


class BuildError(Exception):
    """A tool could not be built; the text is for people."""


@dataclass(frozen=True)
class Cache:
    """Where built tools are kept: `store/<tool>-<key>/<program>`, links in `bin`, a log a tool."""

    root: Path

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    def entry(self, tool: Tool, key: str) -> Path:
        return self.root / "store" / f"{tool.name}-{key}"

    def log(self, tool: Tool) -> Path:
        return self.root / "logs" / f"{tool.name}.log"

    @contextmanager
    def locked(self, tool: Tool) -> Iterator[None]:
        """Hold the tool's lock, so that two builds at once do the work once."""
        path = self.root / "locks" / tool.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def default_cache() -> Cache:
    """The cache that the environment names, outside the checkout."""
    named = os.environ.get("BERTH_TOOLS")
    if named:
        return Cache(Path(named))
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Cache(Path(base) / "berth" / "tools")


def module_version(tool: Tool, modules: Path) -> str:
    """The version of the tool that its `go.mod` pins; a tool of our own has none."""
    if not tool.version_of:
        return "own"
    text = (modules / tool.module / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(tool.version_of)}\s+(v\S+)", text, re.MULTILINE)
    if not found:
        raise BuildError(f"{tool.module}/go.mod does not pin {tool.version_of}")
    return found.group(1).removesuffix("+incompatible")


def go_command(tool: Tool, version: str, target: Path) -> list[str]:
    """The go command that builds the tool's programs into a folder."""
    flags = f"-s -w {tool.ldflags.format(version=version)}".strip()
    command = ["go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", flags]
    if tool.gcflags:
        command.append(f"-gcflags={tool.gcflags}")
    if tool.tags:
        command += ["-tags", tool.tags]
    return [*command, "-o", f"{target}/", *tool.packages]


def go_environment() -> dict[str, str]:
    """The caller's environment with what would change the result taken out."""
    return os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}


def go_version() -> str:
    """The version of go, or a sentence that says to install it."""
    if not shutil.which("go"):
        raise BuildError("the tools are built with Go: install Go 1.26 or newer and put `go` on PATH")
    return subprocess.run(["go", "version"], check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def cache_key(tool: Tool, modules: Path, go: str) -> str:
    """A hash of everything that decides what is built."""
    digest = hashlib.sha256(go.encode())
    digest.update("\0".join(go_command(tool, "", Path("out"))).encode())
    for path in sorted((modules / tool.module).rglob("*")):
        if path.is_file() and (path.suffix == ".go" or path.name in {"go.mod", "go.sum"}):
            digest.update(f"\0{path.relative_to(modules)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def build(tool: Tool, modules: Path, cache: Cache, go: str) -> float | None:
    """Put the tool's programs in the cache and link them; the seconds that took, or None if they were there."""
    entry = cache.entry(tool, cache_key(tool, modules, go))
    seconds = None
    if not entry.is_dir():
        with cache.locked(tool):
            if not entry.is_dir():
                started = time.monotonic()
                _compile(tool, modules, cache, entry)
                seconds = time.monotonic() - started
    _link(tool, entry, cache)
    return seconds


def _compile(tool: Tool, modules: Path, cache: Cache, entry: Path) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    log = cache.log(tool)
    log.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{tool.name}-", dir=entry.parent))
    try:
        command = go_command(tool, module_version(tool, modules), partial)
        if shutil.which("nice"):
            command = ["nice", "-n", "10", *command]
        with log.open("wb") as output:
            code = subprocess.run(
                command,
                cwd=modules / tool.module,
                env=go_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=BUILD_LIMIT_SECONDS,
            ).returncode
        if code != 0:
            raise BuildError(f"{tool.name}: go build ended with {code}; the end of {log}:\n{_tail(log)}")
        _rename(tool, partial)
        partial.chmod(0o755)
        partial.rename(entry)
    except subprocess.TimeoutExpired:
        raise BuildError(f"{tool.name}: not built after {BUILD_LIMIT_SECONDS} s; log: {log}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _rename(tool: Tool, folder: Path) -> None:
    for package, program in zip(tool.packages, tool.programs(), strict=True):
        built = folder / base_name(package)
        if built.name != program:
            built.rename(folder / program)


def _link(tool: Tool, entry: Path, cache: Cache) -> None:
    cache.bin.mkdir(parents=True, exist_ok=True)
    for program in tool.programs():
        link = cache.bin / program
        if link.is_symlink() and link.readlink() == entry / program:
            continue
        fresh = cache.bin / f".{program}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(entry / program)
        fresh.replace(link)


def _tail(log: Path) -> str:
    with log.open(errors="replace") as lines:
        return "".join(f"  | {line}" for line in deque(lines, LOG_LINES_SHOWN)).rstrip("\n")
