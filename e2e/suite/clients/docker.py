"""Docker 29, with containerd's image store (its default) or the classic one."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.suite.clients.client import Ability, Outcome, Reference, Refusals, Seat, digest_after
from e2e.suite.content import Content, Kind
from e2e.suite.world import HOST, Result

_CONTAINERD = Refusals(
    pull="Error response from daemon: error from registry: {sentence}",
    push="error from registry: {sentence}",
    manifest="error from registry: {sentence}",
    login='Error response from daemon: Get "https://{host}/v2/": unauthorized: {sentence}',
    throttled='Error response from daemon: Get "https://{host}/v2/": toomanyrequests: {sentence}',
)
_CLASSIC = Refusals(
    pull=(
        "Error response from daemon: pull access denied for {name}, "
        "repository does not exist or may require 'docker login': denied: {sentence}"
    ),
    push="denied: {sentence}",
    manifest="denied: {sentence}",
    login=_CONTAINERD.login,
    throttled=_CONTAINERD.throttled,
    notes=(
        "In front of the sentence of a refused pull, it guesses that the repository may not exist or needs a login.",
    ),
)


@dataclass(frozen=True)
class Docker:
    """`docker load`, `docker push`, `docker pull`, `docker login`."""

    classic: bool
    kind = Kind.IMAGE

    @property
    def name(self) -> str:
        return "docker-classic" if self.classic else "docker"

    @property
    def abilities(self) -> frozenset[Ability]:
        shared = {Ability.PULL_INDEX, Ability.DEFAULT_TAG}
        return frozenset(shared if self.classic else shared | {Ability.PUSH_INDEX})

    @property
    def refusals(self) -> Refusals:
        return _CLASSIC if self.classic else _CONTAINERD

    @property
    def engine(self) -> str:
        return "dockerd --classic" if self.classic else "dockerd"

    def push(self, seat: Seat, content: Content, reference: Reference) -> Outcome:
        archive = content.archive(reference.full)
        self._docker(seat, "load", "--quiet", f"--input={archive}").must()
        return self._push(seat, reference)

    def copy(self, seat: Seat, source: Reference, target: Reference) -> Outcome:
        self._docker(seat, "pull", str(source)).must()
        self._docker(seat, "tag", str(source), str(target)).must()
        pushed = self._push(seat, target)
        self._docker(seat, "rmi", "--force", source.full).must()
        return pushed

    def pull(self, seat: Seat, reference: Reference) -> Outcome:
        result = self._docker(seat, "pull", str(reference))
        if result.ok:
            self._docker(seat, "rmi", "--force", reference.full).must()
        return Outcome(result, digest_after("Digest:", result.said))

    def login(self, seat: Seat, user: str, password: str) -> Result:
        words = ["login", HOST, f"--username={user}", "--password-stdin"]
        return self._docker(seat, *words, config=str(seat.folder), stdin=password)

    def _push(self, seat: Seat, reference: Reference) -> Outcome:
        result = self._docker(seat, "push", str(reference))
        self._docker(seat, "rmi", "--force", reference.full).must()
        return Outcome(result, digest_after("digest:", result.said))

    def _docker(self, seat: Seat, *words: str, config: str = "", stdin: str | None = None) -> Result:
        socket = "/run/docker-classic.sock" if self.classic else "/run/docker.sock"
        env = {"DOCKER_HOST": f"unix://{socket}"} | ({"DOCKER_CONFIG": config} if config else {})
        return seat.run("docker", *words, env=env, stdin=stdin)
