"""ORAS, which pushes and pulls OCI artifacts."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.suite.clients.client import RETRIES, Ability, Outcome, Reference, Refusals, Seat, digest_after
from e2e.suite.content import Content, Kind
from e2e.suite.world import HOST, Result

ARTIFACT_TYPE = "application/vnd.example.measurements+json"


@dataclass(frozen=True)
class Oras:
    """`oras push`, `oras pull`, `oras login`."""

    name = "oras"
    kind = Kind.ARTIFACT
    engine = ""
    abilities: frozenset[Ability] = frozenset()
    refusals = Refusals(
        pull="Error response from registry: denied: {sentence}",
        push="Error response from registry: denied: {sentence}",
        manifest="Error response from registry: denied: {sentence}",
        login="Error response from registry: unauthorized: {sentence}",
        throttled="Error response from registry: toomanyrequests: {sentence}",
        notes=(RETRIES.format("oras login", 15),),
    )

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        kind = f"--artifact-type={ARTIFACT_TYPE}"
        words = ["--no-tty", "--disable-path-validation", kind, str(reference), _file(content)]
        result = seat.run("oras", "push", *words)
        return Outcome(result, digest_after("Digest:", result.said))

    def copy(self, seat: Seat, source: Reference, target: Reference) -> Outcome:
        result = seat.run("oras", "copy", "--no-tty", str(source), str(target))
        return Outcome(result, digest_after("Digest:", result.said))

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        words = ["--no-tty", "--allow-path-traversal", f"--output={seat.folder / 'pulled'}"]
        result = seat.run("oras", "pull", *words, str(reference))
        return Outcome(result, digest_after("Digest:", result.said))

    def attach(self, seat: Seat, subject: Reference, content: Content) -> Result:
        """Add an artifact that refers to another, a signature for example."""
        kind = f"--artifact-type={ARTIFACT_TYPE}"
        return seat.run("oras", "attach", "--no-tty", "--disable-path-validation", kind, str(subject), _file(content))

    def login(self, seat: Seat, user: str, password: str) -> Result:
        file = f"--registry-config={seat.folder / 'config.json'}"
        return seat.run("oras", "login", HOST, f"--username={user}", "--password-stdin", file, stdin=password)


def _file(content: Content) -> str:
    return f"{content.files}/random:application/octet-stream"
