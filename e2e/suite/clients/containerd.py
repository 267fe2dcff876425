"""containerd's own client, `ctr`, on the node's containerd, in a namespace apart from the kubelet's."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.suite.clients.client import Ability, Outcome, Reference, Refusals, Seat, last_digest
from e2e.suite.content import Content, Kind
from e2e.suite.world import Result

_NAMESPACE = {"CONTAINERD_NAMESPACE": "suite"}


@dataclass(frozen=True)
class Ctr:
    """`ctr images import`, `push` and `pull`. It takes full references alone and no login file."""

    name = "ctr"
    kind = Kind.IMAGE
    engine = ""
    abilities = frozenset({Ability.PUSH_INDEX, Ability.PULL_INDEX})
    refusals = Refusals(
        pull=(
            "ctr: failed to resolve image: unexpected status from HEAD request to "
            "https://{host}/v2/{path}/manifests/{version}: 403 Forbidden\ndenied: {sentence}"
        ),
        push=(
            "ctr: unexpected status from POST request to "
            "https://{host}/v2/{path}/blobs/uploads/: 403 Forbidden\ndenied: {sentence}"
        ),
        manifest=(
            "…: unexpected status from PUT request to "
            "https://{host}/v2/{path}/manifests/{version}: 403 Forbidden\ndenied: {sentence}"
        ),
        notes=("`ctr` has no login: each command gets the user name and the password.",),
    )

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        archive = content.archive(str(reference))
        self._ctr(seat, "import", "--no-unpack", "--all-platforms", str(archive)).must()
        return self._push(seat, reference)

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        result = self._remote(seat, "pull", "--all-platforms", str(reference))
        return Outcome(result, self._forget(seat, reference))

    def copy(self, seat: Seat, source: Reference, target: Reference) -> Outcome:
        self._remote(seat, "pull", "--all-platforms", str(source)).must()
        self._ctr(seat, "tag", str(source), str(target)).must()
        pushed = self._push(seat, target)
        self._forget(seat, source)
        return pushed

    def _push(self, seat: Seat, reference: Reference) -> Outcome:
        result = self._remote(seat, "push", str(reference))
        return Outcome(result, self._forget(seat, reference))

    def _forget(self, seat: Seat, reference: Reference) -> str:
        """Remove the image, if there is one; the digest that it had."""
        listed = self._ctr(seat, "ls", f"name=={reference}").must().out
        if str(reference) in listed:
            self._ctr(seat, "rm", "--sync", str(reference)).must()
        return last_digest(listed)

    def _remote(self, seat: Seat, *words: str) -> Result:
        """`--hosts-dir` is where the node's containerd finds the registry's certificate."""
        command, *rest = words
        login = [] if seat.anonymous else [f"--user={seat.person.name}:{seat.person.password}"]
        script = 'command=$1; shift; exec ctr images "$command" --hosts-dir "$CONTAINERD_HOSTS_DIR" "$@"'
        return seat.run("sh", "-c", script, "ctr", command, *login, *rest, env=_NAMESPACE)

    @staticmethod
    def _ctr(seat: Seat, *words: str) -> Result:
        return seat.run("ctr", "images", *words, env=_NAMESPACE)
