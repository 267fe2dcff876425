"""A PostgreSQL server of Debian's, as a child process on a unix socket, for tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_OVERFLOW_UID: Final = 65534  # of the unprivileged account


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
    done = subprocess.run(
        [str(part) for part in command],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **_identity(user),
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
    try:
        run_as(owner, [binaries / "initdb", "-D", home / "data", "-U", "berth", "-A", "trust", "-E", "UTF8", "-N"])
        server = _start(binaries, home, owner)
        try:
            _await_ready(binaries, home, server)
            yield Postgres(binaries, home, owner)
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait(30)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _start(binaries: Path, home: Path, owner: str) -> subprocess.Popen[bytes]:
    """The server; it ends with the test process, however that ends."""
    settings = ("listen_addresses=", f"unix_socket_directories={home}", "fsync=off", "max_connections=60")
    command = ["setpriv", "--pdeathsig", "QUIT", str(binaries / "postgres"), "-D", str(home / "data")]
    for setting in settings:
        command += ["-c", setting]
    with (home / "log").open("wb") as log:
        return subprocess.Popen(command, cwd="/", stdout=log, stderr=log, stdin=subprocess.DEVNULL, **_identity(owner))


def _await_ready(binaries: Path, home: Path, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, (home / "log").read_text()
        if subprocess.run([binaries / "pg_isready", "-q", "-h", home], check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise TimeoutError((home / "log").read_text())


def _identity(user: str) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _owner() -> str:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return pwd.getpwuid(_OVERFLOW_UID).pw_name
