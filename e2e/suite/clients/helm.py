"""Helm 4, which pushes and pulls charts. A chart's name ends the path, and its version is the tag."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.suite.clients.client import RETRIES, Ability, Outcome, Reference, Refusals, Seat, digest_after
from e2e.suite.content import Content, Kind
from e2e.suite.world import HOST, Result


@dataclass(frozen=True)
class Helm:
    """`helm push`, `helm pull`, `helm registry login`."""

    name = "helm"
    kind = Kind.CHART
    engine = ""
    abilities: frozenset[Ability] = frozenset()
    refusals = Refusals(
        pull=(
            'Error: failed to perform "FetchReference" on source: GET "https://{host}/v2/{path}/manifests/{version}": '
            "response status code 403: denied: {sentence}"
        ),
        push=(
            'Error: failed to perform "Push" on destination: POST "https://{host}/v2/{path}/blobs/uploads/": '
            "response status code 403: denied: {sentence}"
        ),
        # After the URL of the manifest, which goes by its digest first and by its tag then.
        manifest='…": response status code 403: denied: {sentence}',
        login=(
            'Error: authenticating to "{host}": GET "https://{host}/v2/": '
            'GET "https://{host}/token?service={host}": response status code 401: unauthorized: {sentence}'
        ),
        throttled=(
            'Error: authenticating to "{host}": GET "https://{host}/v2/": '
            'GET "https://{host}/token?service={host}": response status code 429: toomanyrequests: {sentence}'
        ),
        notes=(RETRIES.format("helm registry login", 30),),
    )

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        parent = reference.name.rpartition("/")[0]
        result = seat.run("helm", "push", str(content.files), f"oci://{parent}")
        return Outcome(result, digest_after("Digest:", result.said))

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        chart = f"oci://{reference}" if reference.digest else f"oci://{reference.name}"
        version = [f"--version={reference.tag}"] if reference.tag else []
        cache = f"--content-cache={seat.folder / 'cache'}"
        result = seat.run("helm", "pull", chart, *version, cache, f"--destination={seat.folder}")
        return Outcome(result, digest_after("Digest:", result.said))

    def login(self, seat: Seat, user: str, password: str) -> Result:
        file = f"--registry-config={seat.folder / 'config.json'}"
        return seat.run(
            "helm", "registry", "login", HOST, f"--username={user}", "--password-stdin", file, stdin=password
        )
