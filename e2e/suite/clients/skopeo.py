"""skopeo."""

from __future__ import annotations

import json
from dataclasses import dataclass

from e2e.suite.clients.client import LOST_AT, Ability, Outcome, Reference, Refusals, Seat
from e2e.suite.content import Content, Kind
from e2e.suite.world import HOST, Result


@dataclass(frozen=True)
class Skopeo:
    """`skopeo copy`, from and to a layout; `--all` copies every image of an index."""

    name = "skopeo"
    kind = Kind.IMAGE
    engine = ""
    abilities = frozenset({Ability.PUSH_INDEX, Ability.PULL_INDEX, Ability.DEFAULT_TAG})
    refusals = Refusals(
        pull=(
            '…level=fatal msg="initializing source docker://{ref}: reading manifest {version} in {name}: '
            'denied: {sentence}"'
        ),
        push=(
            '…level=fatal msg="writing blob: initiating layer upload to /v2/{path}/blobs/uploads/ in {host}: '
            'denied: {sentence}"'
        ),
        manifest='…level=fatal msg="writing manifest: uploading manifest {version} to {name}: denied: {sentence}"',
        login='…level=fatal msg="logging into \\"{host}\\": invalid username/password"',
        throttled='…level=fatal msg="authenticating creds for \\"{host}\\": too many requests to registry"',
        notes=(LOST_AT.format("skopeo login"),),
    )

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        return self._push(seat, f"oci:{content.layout}", reference)

    def copy(self, seat: Seat, source: Reference, target: Reference) -> Outcome:
        return self._push(seat, f"docker://{source}", target)

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        target = seat.folder / "pulled"
        result = self._copy(seat, f"docker://{reference}", f"oci:{target}")
        if not result.ok:
            return Outcome(result)
        return Outcome(result, json.loads((target / "index.json").read_bytes())["manifests"][-1]["digest"])

    def login(self, seat: Seat, user: str, password: str) -> Result:
        file = f"--authfile={seat.folder / 'config.json'}"
        words = ["login", f"--username={user}", "--password-stdin", file, HOST]
        return seat.run("skopeo", *words, stdin=password)

    def _push(self, seat: Seat, source: str, target: Reference) -> Outcome:
        report = seat.folder / "digest"
        result = self._copy(seat, source, f"docker://{target}", f"--digestfile={report}")
        return Outcome(result, report.read_text() if result.ok else "")

    @staticmethod
    def _copy(seat: Seat, *words: str) -> Result:
        return seat.run("skopeo", "copy", "--all", "--preserve-digests", *words)
