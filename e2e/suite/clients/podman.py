"""podman."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.suite.clients.client import LOST_AT, Ability, Outcome, Reference, Refusals, Seat
from e2e.suite.content import Content, Kind
from e2e.suite.world import HOST, Result

LOST = 'Error: logging into "{host}": invalid username/password'
LOST_TOO_MANY = 'Error: authenticating creds for "{host}": too many requests to registry'
"""What podman, skopeo and buildah say of a login that is refused, whatever the registry answers."""


@dataclass(frozen=True)
class Podman:
    """`podman load`, `podman push` and `podman pull`; an index goes by `podman manifest`."""

    name = "podman"
    kind = Kind.IMAGE
    engine = ""
    abilities = frozenset({Ability.PUSH_INDEX, Ability.PULL_INDEX, Ability.DEFAULT_TAG})
    refusals = Refusals(
        pull="Error: initializing source docker://{ref}: reading manifest {version} in {name}: denied: {sentence}",
        push="Error: writing blob: initiating layer upload to /v2/{path}/blobs/uploads/ in {host}: denied: {sentence}",
        manifest="Error: writing manifest: uploading manifest {version} to {name}: denied: {sentence}",
        login=LOST,
        throttled=LOST_TOO_MANY,
        notes=(LOST_AT.format("podman login"),),
    )

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        report = seat.folder / "digest"
        if content.kind is Kind.INDEX:
            self._podman(seat, "manifest", "create", "--all", reference.full, f"oci:{content.layout}").must()
            words = ["manifest", "push", "--all", f"--digestfile={report}", reference.full, f"docker://{reference}"]
        else:
            archive = content.archive(reference.full)
            self._podman(seat, "load", "--quiet", f"--input={archive}").must()
            words = ["push", f"--digestfile={report}", str(reference)]
        result = self._podman(seat, *words)
        self._forget(seat, reference)
        return Outcome(result, report.read_text() if result.ok else "")

    def copy(self, seat: Seat, source: Reference, target: Reference) -> Outcome:
        report = seat.folder / "digest"
        self._podman(seat, "pull", "--quiet", str(source)).must()
        result = self._podman(seat, "push", f"--digestfile={report}", str(source), f"docker://{target}")
        self._forget(seat, source)
        return Outcome(result, report.read_text() if result.ok else "")

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        result = self._podman(seat, "pull", str(reference))
        if not result.ok:
            return Outcome(result)
        shown = self._podman(seat, "inspect", "--format={{.Digest}}", str(reference)).must().out
        self._forget(seat, reference)
        return Outcome(result, shown.strip())

    def login(self, seat: Seat, user: str, password: str) -> Result:
        file = f"--authfile={seat.folder / 'config.json'}"
        return self._podman(seat, "login", HOST, f"--username={user}", "--password-stdin", file, stdin=password)

    def _forget(self, seat: Seat, reference: Reference) -> None:
        self._podman(seat, "rmi", "--force", reference.full).must()

    @staticmethod
    def _podman(seat: Seat, *words: str, stdin: str | None = None) -> Result:
        return seat.run("podman", *words, stdin=stdin)
