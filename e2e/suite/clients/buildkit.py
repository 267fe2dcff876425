"""BuildKit by itself: `buildctl build` pushes what it built and pulls what a Dockerfile builds on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from e2e.suite.clients.client import Ability, Outcome, Reference, Refusals, Seat, last_digest
from e2e.suite.content import ARCHITECTURES, Content, Kind
from e2e.suite.world import Result


@dataclass(frozen=True)
class BuildKit:
    """`buildctl build … --output type=image,push=true`, and `FROM` for a pull."""

    name = "buildkit"
    kind = Kind.IMAGE
    engine = "buildkitd"
    abilities = frozenset({Ability.PUSH_INDEX, Ability.PULL_INDEX, Ability.DEFAULT_TAG})
    refusals = Refusals(
        pull=(
            "error: failed to solve: {ref}: failed to resolve source metadata for {full}: unexpected status from "
            "HEAD request to https://{host}/v2/{path}/manifests/{version}: 403 Forbidden\ndenied: {sentence}"
        ),
        push="error: failed to solve: failed to push {ref}: denied: {sentence}",
        manifest="error: failed to solve: failed to push {ref}: denied: {sentence}",
        notes=(
            "A refused import of a cache is only a warning; the sentence is in the warning.",
            "Builds with the same base image, at the same moment and in one BuildKit, all get the response to one of "
            "them, because BuildKit sends one request.",
        ),
    )
    refused_cache = "error: failed to solve: error writing layer blob: denied: {sentence}"
    warned_cache = (
        "…ERROR: failed to configure registry cache importer: unexpected status from "
        "HEAD request to https://{host}/v2/{path}/manifests/{version}: 403 Forbidden\ndenied: {sentence}"
    )

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        report = seat.folder / "built.json"
        platforms = ARCHITECTURES if content.kind is Kind.INDEX else ARCHITECTURES[:1]
        result = self._build(
            seat,
            content.files,
            'FROM scratch\nCOPY random pause /\nENTRYPOINT ["/pause"]\n',
            f"--output=type=image,name={reference},push=true",
            f"--metadata-file={report}",
            f"--opt=platform={','.join(f'linux/{architecture}' for architecture in platforms)}",
        )
        return Outcome(result, json.loads(report.read_bytes())["containerimage.digest"] if result.ok else "")

    def export_cache(self, seat: Seat, content: Content, cache: Reference) -> Outcome:
        """Build something and push the cache of the build, alone."""
        return Outcome(self._cached(seat, content, f"--export-cache=type=registry,ref={cache},mode=max"))

    def import_cache(self, seat: Seat, content: Content, cache: Reference) -> Outcome:
        """Build the same with the cache of another build."""
        return Outcome(self._cached(seat, content, f"--import-cache=type=registry,ref={cache}"))

    def _cached(self, seat: Seat, content: Content, option: str) -> Result:
        return self._build(seat, content.files, "FROM scratch\nCOPY random /\n", option)

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        output = f"--output=type=local,dest={seat.folder / 'pulled'}"
        result = self._build(seat, seat.folder, f"FROM {reference}\n", output)
        resolved = [line for line in result.err.splitlines() if f"resolve {reference.full}" in line]
        return Outcome(result, last_digest(resolved[-1]) if resolved else "")

    @staticmethod
    def _build(seat: Seat, context: Path, dockerfile: str, *options: str) -> Result:
        recipe = seat.folder / "recipe"
        recipe.mkdir(exist_ok=True)
        (recipe / "Dockerfile").write_text(dockerfile)
        return seat.run(
            "buildctl",
            "build",
            "--progress=plain",
            "--no-cache",
            "--frontend=dockerfile.v0",
            f"--local=context={context}",
            f"--local=dockerfile={recipe}",
            *options,
        )
