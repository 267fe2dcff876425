"""buildah."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.suite.clients.client import LOST_AT, Ability, Outcome, Reference, Refusals, Seat
from e2e.suite.clients.podman import LOST, LOST_TOO_MANY, Podman
from e2e.suite.content import Content, Kind
from e2e.suite.world import HOST, Result


@dataclass(frozen=True)
class Buildah:
    """`buildah push` and `buildah pull`; an index goes by `buildah manifest`."""

    name = "buildah"
    kind = Kind.IMAGE
    engine = ""
    abilities = frozenset({Ability.PUSH_INDEX, Ability.PULL_INDEX, Ability.DEFAULT_TAG})
    refusals = Refusals(
        pull=Podman.refusals.pull,
        # After the id of the image, which only the engine knows.
        push=Podman.refusals.push.replace("Error: ", "…: "),
        manifest=Podman.refusals.manifest.replace("Error: ", "…: "),
        login=LOST,
        throttled=LOST_TOO_MANY,
        notes=(
            LOST_AT.format("buildah login"),
            "`buildah manifest push` (1.28) of a refused index ends with exit code 0 and without a message, although "
            "nothing was pushed. `podman manifest push` shows the refusal.",
        ),
    )

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        report = seat.folder / "digest"
        options = [f"--digestfile={report}"]
        if content.kind is Kind.INDEX:
            self._buildah(seat, "manifest", "create", "--all", reference.full, f"oci:{content.layout}").must()
            words = ["manifest", "push", "--all", "--format=oci", *options, reference.full, f"docker://{reference}"]
            local = reference.full
        else:
            local = self._buildah(seat, "pull", "--quiet", f"oci:{content.layout}").must().out.strip()
            words = ["push", *options, local, f"docker://{reference}"]
        result = self._buildah(seat, *words)
        self._buildah(seat, "rmi", "--force", local).must()
        return Outcome(result, report.read_text() if result.ok else "")

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        result = self._buildah(seat, "pull", str(reference))
        if not result.ok:
            return Outcome(result)
        shown = self._buildah(seat, "images", "--format={{.Digest}}", reference.full).must().out
        self._buildah(seat, "rmi", "--force", reference.full).must()
        return Outcome(result, shown.strip())

    def copy(self, seat: Seat, source: Reference, target: Reference) -> Outcome:
        report = seat.folder / "digest"
        self._buildah(seat, "pull", "--quiet", str(source)).must()
        result = self._buildah(seat, "push", f"--digestfile={report}", str(source), f"docker://{target}")
        self._buildah(seat, "rmi", "--force", str(source)).must()
        return Outcome(result, report.read_text() if result.ok else "")

    def login(self, seat: Seat, user: str, password: str) -> Result:
        file = f"--authfile={seat.folder / 'config.json'}"
        return self._buildah(seat, "login", f"--username={user}", "--password-stdin", file, HOST, stdin=password)

    @staticmethod
    def _buildah(seat: Seat, *words: str, stdin: str | None = None) -> Result:
        return seat.run("buildah", *words, stdin=stdin)
