"""A projected ServiceAccount token on disk, which the kubelet replaces well before it expires."""

from __future__ import annotations

from pathlib import Path


class TokenFile:
    """Reads a token, and reads it again after the file was replaced.

    The kubelet swaps a symbolic link, so inode and modification time change together with the content. Comparing them
    takes one `stat` and saves a read for each call.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._token = ""

    def __repr__(self) -> str:
        return f"TokenFile({str(self._path)!r})"

    def read(self) -> str:
        """The present token, without surrounding white space. Raises `OSError` when there is no file."""
        stat = self._path.stat()
        stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if stamp != self._stamp:
            self._token = self._path.read_text(encoding="ascii").strip()
            self._stamp = stamp
        return self._token
