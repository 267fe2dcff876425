"""ORAS, which pushes and pulls OCI artifacts."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.suite.clients.client import Ability, Outcome, Reference, Refusals, Seat, digest_after
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
        login="Error response from registry: unauthorized: {sentence}",
    )

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        kind = f"--artifact-type={ARTIFACT_TYPE}"
        file = f"{content.files}/random:application/octet-stream"
        result = seat.run("oras", "push", "--no-tty", "--disable-path-validation", kind, str(reference), file)
        return Outcome(result, digest_after("Digest:", result.said))

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        words = ["--no-tty", "--allow-path-traversal", f"--output={seat.folder / 'pulled'}"]
        result = seat.run("oras", "pull", *words, str(reference))
        return Outcome(result, digest_after("Digest:", result.said))

    def login(self, seat: Seat, user: str, password: str) -> Result:
        file = f"--registry-config={seat.folder / 'config.json'}"
        return seat.run("oras", "login", HOST, f"--username={user}", "--password-stdin", file, stdin=password)
