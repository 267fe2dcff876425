"""buildx, the plugin behind `docker build`, with the BuildKit inside Docker 29."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from e2e.suite.clients.client import Ability, Outcome, Reference, Refusals, Seat, last_digest
from e2e.suite.content import ARCHITECTURES, Content, Kind
from e2e.suite.world import Result

_DOCKER = {"DOCKER_HOST": "unix:///run/docker.sock"}


@dataclass(frozen=True)
class Buildx:
    """`docker buildx build --push`, and `FROM` for a pull. With what it builds it pushes how that was built, so that
    everything is an index."""

    name = "buildx"
    kind = Kind.IMAGE
    engine = "dockerd"
    abilities = frozenset({Ability.PUSH_INDEX, Ability.PULL_INDEX, Ability.DEFAULT_TAG})
    refusals = Refusals(
        pull=(
            "…: {ref}: failed to resolve source metadata for {full}: "
            "unexpected status from HEAD request to https://{host}/v2/{path}/manifests/{version}: 403 Forbidden\n"
            "denied: {sentence}"
        ),
        push="ERROR: failed to build: failed to solve: failed to push {ref}: denied: {sentence}",
        manifest="ERROR: failed to build: failed to solve: failed to push {ref}: denied: {sentence}",
        notes=(
            "Docker's own builder uses an image that Docker already has, without a request to the registry.",
            "A refused pull begins with `ERROR: failed to build: failed to solve`. The last words can also be "
            "`failed to run Build function`: that depends on which of its two halves ends first.",
        ),
    )

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        report = seat.folder / "built.json"
        platforms = ARCHITECTURES if content.kind is Kind.INDEX else ARCHITECTURES[:1]
        result = self._build(
            seat,
            content.files,
            'FROM scratch\nCOPY random pause /\nENTRYPOINT ["/pause"]\n',
            "--push",
            f"--tag={reference}",
            f"--metadata-file={report}",
            f"--platform={','.join(f'linux/{architecture}' for architecture in platforms)}",
        )
        # Docker keeps what it built, and would take a later FROM of the same name from there.
        seat.run("docker", "rmi", "--force", reference.full, env=_DOCKER).must()
        return Outcome(result, json.loads(report.read_bytes())["containerimage.digest"] if result.ok else "")

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        output = f"--output=type=local,dest={seat.folder / 'pulled'}"
        result = self._build(seat, seat.folder, f"FROM {reference}\n", output)
        resolved = [line for line in result.err.splitlines() if f"resolve {reference.full}" in line]
        return Outcome(result, last_digest(resolved[-1]) if resolved else "")

    @staticmethod
    def _build(seat: Seat, context: Path, dockerfile: str, *options: str) -> Result:
        recipe = seat.folder / "Dockerfile"
        recipe.write_text(dockerfile)
        words = ["build", "--progress=plain", "--no-cache", f"--file={recipe}", *options, str(context)]
        return seat.run("docker-buildx", *words, env={**_DOCKER, "BUILDX_CONFIG": str(seat.folder / "buildx")})
