"""Every reason to be refused at every client, on a push and on a pull: the sentence word for word.

What the clients do runs beside each other, some at a time; each test waits for its own try.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from e2e.suite.clients import CLIENTS, SEEDER
from e2e.suite.clients.client import Outcome
from e2e.suite.clients.reasons import REASONS, Reason, Try, tries
from e2e.suite.clients.scene import Scene, scene
from e2e.suite.clients.stage import Stage
from e2e.suite.world import Person, eventually

AT_A_TIME = 4
TRIES = tuple(attempt for client in CLIENTS for attempt in tries(client))
ARRIVES_SECONDS = 30


@pytest.fixture(scope="module")
def opened(stage: Stage, person: Callable[..., Person]) -> Iterator[Scene]:
    with scene(stage, person) as made:
        for reason in REASONS:
            for way in reason.ways:
                arrives(made, reason, way)
        yield made


def arrives(made: Scene, reason: Reason, way: str) -> None:
    """Waits until what brings the reason about has reached the registry."""
    first = Try(reason, SEEDER, way)

    def refused() -> bool:
        first.check(made, first.make(made))
        return True

    eventually(refused, f"{first.name} is refused", ARRIVES_SECONDS)


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, opened: Scene) -> Iterator[Mapping[str, Future[Outcome]]]:
    """How each try that this run has selected ends."""
    items = [item for item in request.session.items if item.path == request.path]
    chosen: list[Try] = [item.callspec.params["attempt"] for item in items if isinstance(item, pytest.Function)]
    for engine in sorted({attempt.client.engine for attempt in chosen}):
        opened.stage.engines.need(engine)
    pool = ThreadPoolExecutor(AT_A_TIME)
    try:
        yield {attempt.name: pool.submit(attempt.make, opened) for attempt in chosen}
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("attempt", [pytest.param(attempt, id=attempt.name) for attempt in TRIES])
def test_who_is_refused_is_told_why(attempt: Try, opened: Scene, outcomes: Mapping[str, Future[Outcome]]) -> None:
    attempt.check(opened, outcomes[attempt.name].result())
