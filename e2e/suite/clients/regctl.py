"""regctl."""

from __future__ import annotations

import json
from dataclasses import dataclass

from e2e.suite.clients.client import LOST_AT, Ability, Outcome, Reference, Refusals, Seat, last_digest
from e2e.suite.content import Content, Kind
from e2e.suite.world import HOST, Result

_FAILED = 'request failed: unauthorized [http 403]: {{"errors":[{{"code":"DENIED","message":"{sentence}"}}]}}'


@dataclass(frozen=True)
class Regctl:
    """`regctl image copy`, from and to a layout."""

    name = "regctl"
    kind = Kind.IMAGE
    engine = ""
    abilities = frozenset({Ability.PUSH_INDEX, Ability.PULL_INDEX, Ability.DEFAULT_TAG})
    refusals = Refusals(
        pull=f"copy failed, error getting source: failed to get manifest {{full}}: {_FAILED}",
        push=f"failed to send blob post, ref {{full}}: {_FAILED}",
        manifest=f"failed to put manifest {{full}}: {_FAILED}",
        login="failed to ping registry {host}: unauthorized",
        throttled="failed to ping registry {host}: unauthorized",
        notes=(
            LOST_AT.format("regctl registry login"),
            "The sentence is inside the registry's response, which regctl shows unchanged; on a push, warnings "
            "with the same sentence come first.",
        ),
    )

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        return self._copy(seat, f"ocidir://{content.layout}@{content.digest}", str(reference))

    def copy(self, seat: Seat, source: Reference, target: Reference) -> Outcome:
        return self._copy(seat, str(source), str(target))

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        target = seat.folder / "pulled"
        result = seat.run("regctl", "image", "copy", str(reference), f"ocidir://{target}:pulled")
        if not result.ok:
            return Outcome(result)
        return Outcome(result, json.loads((target / "index.json").read_bytes())["manifests"][-1]["digest"])

    def login(self, seat: Seat, user: str, password: str) -> Result:
        words = ["registry", "login", HOST, f"--user={user}", "--pass-stdin"]
        return seat.run("regctl", *words, env={"HOME": str(seat.folder)}, stdin=password)

    @staticmethod
    def _copy(seat: Seat, source: str, target: str) -> Outcome:
        result = seat.run("regctl", "image", "copy", source, target)
        printed = seat.run("regctl", "image", "digest", target).must().out if result.ok else ""
        return Outcome(result, last_digest(printed))
