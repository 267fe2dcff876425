"""Which decisions depend on content that no policy has."""

from __future__ import annotations

import pytest

from berth.api.policy import Action
from berth.authz.actor import actor_of
from berth.authz.decide import depends_on_content
from berth.authz.model import AccessRequest, Identity
from tests.kit.authz.worlds import NOW, SERVICE, lab, person

SNAPSHOT = lab()


@pytest.mark.parametrize(
    ("identity", "action", "repository", "depends"),
    [
        (person("reader"), Action.PULL, "new", True),
        (person("reader"), Action.DELETE, "new", True),
        (person("reader"), Action.PULL, "aligner", False),
        (person("reader"), Action.VIEW, "", False),
        (person("reader"), Action.PUSH, "new", False),
        (person("editor"), Action.PULL, "new", False),
        (person("stranger"), Action.PULL, "new", False),
        (SERVICE, Action.PULL, "new", False),
    ],
)
def test_only_an_absent_name_that_the_actor_may_not_create_depends_on_content(
    identity: Identity, action: Action, repository: str, depends: bool
) -> None:
    request = AccessRequest(action, "genomics", repository)
    assert depends_on_content(SNAPSHOT, actor_of(SNAPSHOT, identity, NOW), request, NOW) is depends
