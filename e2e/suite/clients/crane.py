"""crane."""

from __future__ import annotations

import json
from dataclasses import dataclass

from e2e.suite.clients.client import NO_REQUEST, Ability, Outcome, Reference, Refusals, Seat, last_digest
from e2e.suite.content import Content, Kind
from e2e.suite.world import HOST, Result


@dataclass(frozen=True)
class Crane:
    """`crane push` and `crane pull`, from and to a layout."""

    name = "crane"
    kind = Kind.IMAGE
    engine = ""
    abilities = frozenset({Ability.PUSH_INDEX, Ability.PULL_INDEX, Ability.DEFAULT_TAG})
    refusals = Refusals(
        pull="Error: GET https://{host}/v2/{path}/manifests/{version}: DENIED: {sentence}",
        push="Error: POST https://{host}/v2/{path}/blobs/uploads/: DENIED: {sentence}",
        manifest="Error: PUT https://{host}/v2/{path}/manifests/{version}: DENIED: {sentence}",
        notes=(NO_REQUEST.format("crane auth login"),),
    )

    def login(self, seat: Seat, user: str, password: str) -> Result:
        words = ["auth", "login", HOST, f"--username={user}", "--password-stdin"]
        return seat.run("crane", *words, env={"DOCKER_CONFIG": str(seat.folder)}, stdin=password)

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        result = seat.run("crane", "push", str(content.layout), str(reference))
        return Outcome(result, last_digest(result.out))

    def copy(self, seat: Seat, source: Reference, target: Reference) -> Outcome:
        result = seat.run("crane", "copy", str(source), str(target))
        return Outcome(result, last_digest(result.said))

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        target = seat.folder / "pulled"
        result = seat.run("crane", "pull", "--format=oci", str(reference), str(target))
        if not result.ok:
            return Outcome(result)
        return Outcome(result, json.loads((target / "index.json").read_bytes())["manifests"][-1]["digest"])
