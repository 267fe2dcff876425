"""Where finished images are kept, and when one is finished."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cache:
    """`<name>.tar` and, beside it, `<name>.key`: the hash of everything that it was made of."""

    root: Path

    def archive(self, name: str) -> Path:
        return self.root / f"{name}.tar"

    def holds(self, name: str, key: str) -> bool:
        """Whether the archive is there and was made of the same things."""
        path = self._key(name)
        return self.archive(name).exists() and path.exists() and path.read_text() == key

    def finished(self, name: str, key: str) -> None:
        self._key(name).write_text(key)

    def scratch(self) -> Path:
        folder = self.root / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the cache, so that two builds at once do the work once."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _key(self, name: str) -> Path:
        return self.root / f"{name}.key"


def default_cache() -> Cache:
    """The cache that the environment names, outside the checkout."""
    named = os.environ.get("BERTH_IMAGES")
    return Cache(Path(named) if named else _berth_cache() / "images")


def default_tools() -> Path:
    """The folder with the programs that `e2e/tools/build` built."""
    named = os.environ.get("BERTH_TOOLS")
    return (Path(named) if named else _berth_cache() / "tools") / "bin"


def _berth_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "berth"


def hash_of(parts: Iterable[str | bytes]) -> str:
    """A short hash of several things; where one ends and the next begins counts."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:20]


def hash_of_files(root: Path, paths: Iterable[Path]) -> str:
    """A hash of files and of everything below folders, compiled Python aside."""
    files: set[Path] = set()
    for path in paths:
        files |= {path} if path.is_file() else {inner for inner in path.rglob("*") if inner.is_file()}
    kept = sorted(file for file in files if "__pycache__" not in file.parts)
    return hash_of(part for file in kept for part in (str(file.relative_to(root)), file.read_bytes()))
