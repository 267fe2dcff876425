"""Why somebody is refused, one table: who tries what where, and the sentence, word for word.

A further reason is one entry here, and what brings it about in `scene.py` if nothing there does yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from e2e.suite.clients.client import Client, Outcome, Pusher, Reference
from e2e.suite.clients.refusal import WRONG_PASSWORD, assert_refused, forgetful, with_password
from e2e.suite.clients.scene import Scene
from e2e.suite.content import RANDOM_BYTES
from e2e.suite.world import Person

PULL: Final = "pull"
PUSH: Final = "push"
_SIZE: Final = re.compile(r"a layer of ([0-9.]+ MB),")


@dataclass(frozen=True)
class Reason:
    """One reason to be refused.

    `who` gets the scene and a name of this one try, for people of whom each try needs one of its own. `pull` and
    `push` are the sentences; an empty one: nothing of the kind is refused for this reason. Their fields: {who},
    {name} (project/repository), {project}, {size} (a size that only the client's content knows).
    """

    name: str
    who: Callable[[Scene, str], Person]
    pull: str = ""
    push: str = ""
    place: str = "open"
    repository: str = "shelf-{kind}"
    size: int = RANDOM_BYTES
    late: bool = False  # a push that is refused at its manifest, when all blobs are taken

    @property
    def ways(self) -> tuple[str, ...]:
        return tuple(way for way, sentence in ((PULL, self.pull), (PUSH, self.push)) if sentence)


@dataclass(frozen=True)
class Try:
    """Somebody tries with a client what is refused."""

    reason: Reason
    client: Client
    way: str

    @property
    def name(self) -> str:
        return f"{self.reason.name}-{self.way}-{self.client.name}"

    def make(self, scene: Scene) -> Outcome:
        stage, person, reference = scene.stage, self.reason.who(scene, self.name), self._reference(scene)
        if self.way == PULL:
            return stage.pull(self.client, person, reference)
        assert isinstance(self.client, Pusher)
        return stage.push(self.client, person, reference, size=self.reason.size)

    def check(self, scene: Scene, outcome: Outcome) -> None:
        """What the person saw is the reason's sentence in the client's words."""
        refusals, reference = self.client.refusals, self._reference(scene)
        late = refusals.manifest if self.reason.late else refusals.push
        template = refusals.of_pull(reference) if self.way == PULL else late
        assert_refused(outcome, template, reference, self._sentence(scene, reference, outcome.said))

    def _reference(self, scene: Scene) -> Reference:
        """A push has a tag of its own, so that the same client can push beside itself."""
        reference = scene.reference(self.reason.place, self.reason.repository, self.client)
        return reference if self.way == PULL else replace(reference, tag=f"2.0.0-{self.name}")

    def _sentence(self, scene: Scene, reference: Reference, said: str) -> str:
        size = _SIZE.search(said)
        return (self.reason.pull if self.way == PULL else self.reason.push).format(
            who=self.reason.who(scene, self.name).name,
            name=reference.path,
            project=reference.path.partition("/")[0],
            size=size[1] if size else "some MB",
        )


def tries(client: Client) -> tuple[Try, ...]:
    """Everything that a client can be refused."""
    ways = (PULL, PUSH) if isinstance(client, Pusher) else (PULL,)
    return tuple(Try(reason, client, way) for reason in REASONS for way in reason.ways if way in ways)


def _nobody(scene: Scene, _: str) -> Person:
    return with_password(scene.stage.downloader, "", scene.stage.folders())


_NOT_LOGGED_IN = "Nobody is logged in, and {name} is not public; log in (docker login) and try again."
_UNKNOWN = (
    "{name} does not exist or is not shared with {who}; check the name, or ask somebody with Administer on "
    "project {project} for access."
)
_DISABLED = "The user {who} is disabled; ask your registry office to enable it."
_PROJECT_TRASHED = (
    "Project {project} is in the trash, which refuses everything; ask somebody with Administer to restore it."
)
_REPOSITORY_TRASHED = (
    "{name} is in the trash and refuses everything; ask somebody with EditAndDelete on project {project} to restore it."
)
_SUSPENDED = "Project {project} is suspended and its registry stopped; ask somebody with Administer on it to resume it."
_EXTERNAL = (
    "{name} is catalogued but not kept in this registry; "
    "use the image that spec.external of its DockerRepository names."
)

REASONS: Final[tuple[Reason, ...]] = (
    Reason("not-logged-in", _nobody, pull=_NOT_LOGGED_IN, push=_NOT_LOGGED_IN),
    Reason(
        "wrong-password",
        lambda scene, name: forgetful(scene.stage.curator, scene.stage.folders(), name),
        pull=WRONG_PASSWORD,
        push=WRONG_PASSWORD,
    ),
    Reason("user-disabled", lambda scene, _: scene.disabled, pull=_DISABLED, push=_DISABLED),
    Reason("project-unknown", lambda scene, _: scene.stage.outsider, pull=_UNKNOWN, push=_UNKNOWN, place="no-such"),
    Reason("project-not-shared", lambda scene, _: scene.stage.outsider, pull=_UNKNOWN, push=_UNKNOWN),
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
        "ask somebody with Administer on project {project} for Download.",
        push="{who} has View on {name}, and push needs Edit; "
        "ask somebody with Administer on project {project} for Edit.",
    ),
    Reason(
        "download-only",
        lambda scene, _: scene.stage.downloader,
        push="{who} has Download on {name}, and push needs Edit; "
        "ask somebody with Administer on project {project} for Edit.",
    ),
    Reason(
        "not-certified",
        lambda scene, _: scene.stage.editor,
        push="{who} may edit {name} but is not certified to push; ask your registry office for a Certification.",
    ),
    Reason(
        "certification-expired",
        lambda scene, _: scene.lapsed,
        push="{who} may edit {name}, but the certification to push ended at 2026-01-31 12:00:00 UTC; "
        "ask your registry office for a new Certification.",
    ),
    Reason(
        "layer-too-large",
        lambda scene, _: scene.stage.curator,
        push="{name} got a layer of {size}, and its project allows 1 MB; "
        "split it, or ask somebody with Administer to raise spec.limits.layerSize.",
        place="narrow",
        repository="heavy-{client}",
        size=2 * 10**6,
        late=True,
    ),
)
