"""A PostgreSQL server of Debian's, as a child process on a unix socket, for tests."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Postgres:
    """A running server. `url` gives the SQLAlchemy URL of one of its databases."""

    binaries: Path
    socket: Path
    owner: str

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://berth@/{database}?host={self.socket}"

    def create(self, database: str) -> str:
        """Make an empty database; its URL."""
        # Berth may not depend on the server's locale: this one does not sort by bytes.
        run_as(
            self.owner,
            [
                self.binaries / "createdb", "-h", self.socket, "-U", "berth", "-T", "template0", "-E", "UTF8",
                "--locale-provider=icu", "--icu-locale=en", "--locale=C.UTF-8", database,
            ],
        )  # fmt: skip
        return self.url(database)


def find_binaries() -> Path:
    """The directory of initdb and pg_ctl: that of the newest installed version, else wherever PATH has them."""
    for candidate in sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), reverse=True):
        return candidate.parent
    found = shutil.which("pg_ctl")
    if found is None:
        raise FileNotFoundError("PostgreSQL is not installed; run: apt-get install postgresql")
    return Path(found).resolve().parent


def run_as(user: str, command: Sequence[object]) -> None:
    """Run a command as a user (PostgreSQL refuses root); its output is in the error when it fails."""
    options: dict[str, Any] = {}
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        options = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    done = subprocess.run(
        [str(part) for part in command], cwd="/", capture_output=True, text=True, check=False, timeout=120, **options
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed with {done.returncode}:\n{done.stdout}{done.stderr}")


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a server with a data directory of its own, stop it and remove everything after."""
    binaries = find_binaries()
    owner = _owner()
    home = Path(tempfile.mkdtemp(prefix="berth-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(home, owner)
    data = home / "data"
    try:
        run_as(owner, [binaries / "initdb", "-D", data, "-U", "berth", "-A", "trust", "-E", "UTF8", "-N"])
        settings = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off -c max_connections=60"
        run_as(owner, [binaries / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", home / "log", "-o", settings, "start"])
        try:
            yield Postgres(binaries, home, owner)
        finally:
            run_as(owner, [binaries / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _owner() -> str:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"
