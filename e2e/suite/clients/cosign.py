"""cosign, which signs images and puts signatures and files into the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e2e.suite.clients.client import NO_REQUEST, Ability, Outcome, Reference, Refusals, Seat, last_digest
from e2e.suite.content import Content, Kind
from e2e.suite.world import HOST, Result

_NO_PASSPHRASE: Final[Mapping[str, str]] = {"COSIGN_PASSWORD": ""}


@dataclass(frozen=True)
class Cosign:
    """`cosign upload blob` and `cosign save`; beside them `sign` and `verify` with a pair of keys of the test's own."""

    name = "cosign"
    kind = Kind.ARTIFACT
    engine = ""
    abilities = frozenset({Ability.PULL_INDEX, Ability.DEFAULT_TAG})
    refusals = Refusals(
        pull="Error: resolving digest: GET https://{host}/v2/{path}/manifests/{version}: DENIED: {sentence}",
        pull_by_digest="Error: getting referrers: GET https://{host}/v2/{path}/referrers/{version}: DENIED: {sentence}",
        push="Error: POST https://{host}/v2/{path}/blobs/uploads/: DENIED: {sentence}",
        manifest="Error: PUT https://{host}/v2/{path}/manifests/{version}: DENIED: {sentence}",
        notes=(NO_REQUEST.format("cosign login"),),
    )
    refused_signature = (
        "Error: signing [{ref}]: signing digest: failed to upload layer: "
        "POST https://{host}/v2/{path}/blobs/uploads/: DENIED: {sentence}"
    )
    refused_verification = "Error: GET https://{host}/v2/{path}/manifests/{version}: DENIED: {sentence}"

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        result = seat.run("cosign", "upload", "blob", f"--files={content.files}/random", str(reference))
        return Outcome(result, last_digest(result.out))

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        target = seat.folder / "pulled"
        result = seat.run("cosign", "save", f"--dir={target}", str(reference))
        if not result.ok:
            return Outcome(result)
        return Outcome(result, json.loads((target / "index.json").read_bytes())["manifests"][0]["digest"])

    def login(self, seat: Seat, user: str, password: str) -> Result:
        words = ["login", HOST, f"--username={user}", "--password-stdin"]
        return seat.run("cosign", *words, env={"DOCKER_CONFIG": str(seat.folder)}, stdin=password)

    @staticmethod
    def keys(seat: Seat) -> Path:
        """A new pair of keys; the folder of `key.key` and `key.pub`."""
        prefix = f"--output-key-prefix={seat.folder / 'key'}"
        seat.run("cosign", "generate-key-pair", prefix, env=_NO_PASSPHRASE).must()
        return seat.folder

    @staticmethod
    def sign(seat: Seat, keys: Path, image: Reference) -> Result:
        """Sign an image, without any service outside the cluster. cosign wants it named by its digest."""
        alone = ("--tlog-upload=false", "--use-signing-config=false", "--yes")
        return seat.run("cosign", "sign", f"--key={keys}/key.key", *alone, str(image), env=_NO_PASSPHRASE)

    @staticmethod
    def verify(seat: Seat, keys: Path, image: Reference) -> Result:
        return seat.run("cosign", "verify", f"--key={keys}/key.pub", "--insecure-ignore-tlog", str(image))
