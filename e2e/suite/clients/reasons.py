"""The reasons for refusals, one table: who tries what, where, and the sentence, word for word.

A further reason is one entry here, and what brings it about in `scene.py` if nothing there does yet.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from e2e.suite.clients.client import Client, Login, Outcome, Pusher, Reference
from e2e.suite.clients.refusal import TOKEN_REVOKED, WRONG_PASSWORD, assert_refused, forgetful, with_password
from e2e.suite.clients.scene import Scene
from e2e.suite.content import RANDOM_BYTES
from e2e.suite.world import Person, with_page

PULL: Final = "pull"
PUSH: Final = "push"
LOGIN: Final = "login"
_TIMES: Final = 3
_SIZE: Final = re.compile(r"a layer of ([0-9.]+ MB),")


@dataclass(frozen=True)
class Reason:
    """One reason to be refused.

    `who` gets the try, because some tries, or clients, need a user of their own. `pull`, `push` and
    `login` are the sentences; an empty one: nothing of the kind is refused for this reason. Their fields: {who}, {name}
    (project/repository), {project}, {size} (a size that only the client's content knows). `until` brings about just
    before a try what does not last, and says until when it does, by the clock of `time.monotonic`.
    """

    name: str
    who: Callable[[Scene, Try], Person]
    pull: str = ""
    push: str = ""
    login: str = ""
    place: str = "open"
    repository: str = "shelf-{kind}"
    size: int = RANDOM_BYTES
    explained: bool = True  # the sentence ends with the address of its page, where there is room
    throttled: bool = False  # a login gets a time to retry after
    late: bool = False  # a push that is refused at its manifest, when all blobs are taken
    until: Callable[[Scene, Person], float] = lambda _scene, _person: math.inf

    @property
    def ways(self) -> tuple[str, ...]:
        return tuple(way for way in (PULL, PUSH, LOGIN) if self.sentence(way))

    def sentence(self, way: str) -> str:
        return {PULL: self.pull, PUSH: self.push, LOGIN: self.login}[way]


@dataclass(frozen=True)
class Try:
    """One refused request with one client."""

    reason: Reason
    client: Client
    way: str

    @property
    def name(self) -> str:
        return f"{self.reason.name}-{self.way}-{self.client.name}"

    def make(self, scene: Scene) -> Outcome:
        """How it ends. A try that took longer than the reason lasted says nothing, and is made again."""
        person, until = self.reason.who(scene, self), -math.inf
        for _ in range(_TIMES):
            until = self.reason.until(scene, person)
            outcome = self._make(scene, person)
            if time.monotonic() < until:
                return outcome
        raise AssertionError(
            f"{self.name} took too long {_TIMES} times; last ended {time.monotonic() - until:.0f} s late"
        )

    def _make(self, scene: Scene, person: Person) -> Outcome:
        stage, reference = scene.stage, self._reference(scene)
        if self.way == PULL:
            return stage.pull(self.client, person, reference)
        if self.way == LOGIN:
            assert isinstance(self.client, Login)
            return stage.log_in(self.client, person)
        assert isinstance(self.client, Pusher)
        return stage.push(self.client, person, reference, size=self.reason.size)

    def check(self, scene: Scene, outcome: Outcome) -> None:
        """What the person saw is the reason's sentence in the client's words."""
        refusals, reference = self.client.refusals, self._reference(scene)
        template = {
            PULL: refusals.of_pull(reference),
            PUSH: refusals.manifest if self.reason.late else refusals.push,
            LOGIN: refusals.throttled if self.reason.throttled else refusals.login,
        }[self.way]
        assert_refused(outcome, template, reference, self._sentence(scene, reference, outcome.said))

    def _reference(self, scene: Scene) -> Reference:
        """A push has a tag of its own, so that the same client can push beside itself."""
        reference = scene.reference(self.reason.place, self.reason.repository, self.client)
        return reference if self.way != PUSH else replace(reference, tag=f"2.0.0-{self.name}")

    def _sentence(self, scene: Scene, reference: Reference, said: str) -> str:
        size = _SIZE.search(said)
        sentence = self.reason.sentence(self.way).format(
            who=self.reason.who(scene, self).name,
            name=reference.path,
            project=reference.path.partition("/")[0],
            size=size[1] if size else "some MB",
        )
        return with_page(sentence, self.way, reference.path) if self.reason.explained else sentence


def tries(client: Client) -> tuple[Try, ...]:
    """Everything that a client can be refused."""
    able = {PULL: True, PUSH: isinstance(client, Pusher), LOGIN: bool(client.refusals.login)}
    return tuple(Try(reason, client, way) for reason in REASONS for way in reason.ways if able[way])


def _anonymous(scene: Scene, _: Try) -> Person:
    return with_password(scene.stage.downloader, "", scene.stage.folders())


_NOT_LOGGED_IN = "You are not logged in, and {name} is not public; log in (docker login) and try again."
_UNKNOWN = (
    "{name} does not exist or is not shared with {who}; check the name, or ask someone with Administer on "
    "project {project} for access."
)
_THROTTLED = "There were too many failed logins; wait a few minutes, then log in with the right password."
_EXPIRED = "The token of {who} has expired; log in again with a new one."
_DISABLED = "The user {who} is disabled; ask your registry administrators to enable it."
_PROJECT_TRASHED = (
    "Project {project} is in the trash, where every request is refused; ask someone with Administer to restore it."
)
_REPOSITORY_TRASHED = (
    "{name} is in the trash, where every request is refused; "
    "ask someone with EditAndDelete on project {project} to restore it."
)
_SUSPENDED = "Project {project} is suspended and its registry is stopped; ask someone with Administer to resume it."
_EXTERNAL = (
    "{name} is catalogued but not hosted in this registry; use the image in spec.external of its DockerRepository."
)

REASONS: Final[tuple[Reason, ...]] = (
    Reason("not-logged-in", _anonymous, pull=_NOT_LOGGED_IN, push=_NOT_LOGGED_IN, explained=False),
    Reason(
        "wrong-password",
        lambda scene, attempt: forgetful(scene.stage.curator, scene.stage.folders(), attempt.name),
        pull=WRONG_PASSWORD,
        push=WRONG_PASSWORD,
        login=WRONG_PASSWORD,
        explained=False,
    ),
    Reason(
        "too-many-attempts",
        lambda scene, attempt: scene.throttled.people[attempt.client.name],
        pull=_THROTTLED,
        push=_THROTTLED,
        login=_THROTTLED,
        throttled=True,
        explained=False,
        until=lambda scene, person: scene.throttled.until(person),
    ),
    Reason(
        "token-expired",
        lambda scene, _: scene.tokens["expired"],
        pull=_EXPIRED,
        push=_EXPIRED,
        login=_EXPIRED,
        explained=False,
    ),
    Reason(
        "token-revoked",
        lambda scene, _: scene.tokens["revoked"],
        pull=TOKEN_REVOKED,
        push=TOKEN_REVOKED,
        login=TOKEN_REVOKED,
        explained=False,
    ),
    Reason(
        "user-disabled",
        lambda scene, _: scene.disabled,
        pull=_DISABLED,
        push=_DISABLED,
        login=_DISABLED,
        explained=False,
    ),
    Reason(
        "project-unknown",
        lambda scene, _: scene.stage.outsider,
        pull=_UNKNOWN,
        push=_UNKNOWN,
        place="no-such",
        explained=False,
    ),
    Reason("project-not-shared", lambda scene, _: scene.stage.outsider, pull=_UNKNOWN, push=_UNKNOWN, explained=False),
    Reason(
        "project-trashed",
        lambda scene, _: scene.stage.curator,
        pull=_PROJECT_TRASHED,
        push=_PROJECT_TRASHED,
        place="trashed",
    ),
    Reason(
        "repository-trashed",
        lambda scene, _: scene.stage.curator,
        pull=_REPOSITORY_TRASHED,
        push=_REPOSITORY_TRASHED,
        repository="trashed-{kind}",
    ),
    Reason(
        "project-suspended",
        lambda scene, _: scene.stage.curator,
        pull=_SUSPENDED,
        push=_SUSPENDED,
        place="suspended",
    ),
    Reason("external", lambda scene, _: scene.stage.curator, pull=_EXTERNAL, push=_EXTERNAL, repository="external"),
    Reason(
        "creation-declared",
        lambda scene, _: scene.stage.curator,
        push="{name} does not exist, and project {project} creates no repository on push; "
        "apply a DockerRepository for it first.",
        place="declared",
        repository="undeclared-{client}",
    ),
    Reason(
        "view-only",
        lambda scene, _: scene.stage.viewer,
        pull="{who} has View on {name}, and pull needs Download; "
        "ask someone with Administer on project {project} for Download.",
        push="{who} has View on {name}, and push needs Edit; "
        "ask someone with Administer on project {project} for Edit.",
    ),
    Reason(
        "download-only",
        lambda scene, _: scene.stage.downloader,
        push="{who} has Download on {name}, and push needs Edit; "
        "ask someone with Administer on project {project} for Edit.",
    ),
    Reason(
        "not-certified",
        lambda scene, _: scene.stage.editor,
        push="{who} may edit {name} but is not certified to push; "
        "ask your registry administrators for a Certification.",
    ),
    Reason(
        "certification-expired",
        lambda scene, _: scene.lapsed,
        push="{who} may edit {name}, but the certification to push ended at 2026-01-31 12:00:00 UTC; "
        "ask your registry administrators for a new Certification.",
    ),
    Reason(
        "token-without-download",
        lambda scene, _: scene.tokens["view"],
        pull="The token of {who} lacks the scope download, which pull on {name} needs; use a token that has it.",
        push="The token of {who} lacks the scope download and modify, which push on {name} needs; "
        "use a token that has it.",
    ),
    Reason(
        "token-without-modify",
        lambda scene, _: scene.tokens["download"],
        push="The token of {who} lacks the scope modify, which push on {name} needs; use a token that has it.",
    ),
    Reason(
        "layer-too-large",
        lambda scene, _: scene.stage.curator,
        push="The push to {name} has a layer of {size}, and its project allows 1 MB; "
        "split it, or ask someone with Administer to raise spec.limits.layerSize.",
        place="narrow",
        repository="heavy-{client}",
        size=2 * 10**6,
        explained=False,
        late=True,
    ),
)
