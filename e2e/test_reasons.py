"""Every reason to be refused at every client, on a push, on a pull and at a login: the sentence word for word.

Some clients at a time run beside each other, each with another reason first; each test waits for its own try.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event

import pytest

from e2e.suite.clients import CLIENTS, SEEDER
from e2e.suite.clients.client import Outcome
from e2e.suite.clients.reasons import Try, tries
from e2e.suite.clients.scene import Scene, scene
from e2e.suite.clients.stage import Stage
from e2e.suite.world import Person, eventually

AT_A_TIME = 4
TRIES = tuple(attempt for client in CLIENTS for attempt in tries(client))
ARRIVES_SECONDS = 30


@pytest.fixture(scope="module")
def opened(stage: Stage, person: Callable[..., Person]) -> Iterator[Scene]:
    with scene(stage, person) as made:
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            list(pool.map(partial(arrives, made), tries(SEEDER)))
        yield made


def arrives(made: Scene, first: Try) -> None:
    """Wait until what brings the reason about has reached the registry."""

    def refused() -> bool:
        first.check(made, first.make(made))
        return True

    eventually(refused, f"{first.name} is refused", ARRIVES_SECONDS)


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, opened: Scene) -> Iterator[Mapping[str, Future[Outcome]]]:
    """How each try that this run has selected ends."""
    items = [item for item in request.session.items if item.path == request.path]
    chosen = {item.callspec.id for item in items if isinstance(item, pytest.Function)}
    queues = [
        staggered([attempt for attempt in tries(client) if attempt.name in chosen], number)
        for number, client in enumerate(CLIENTS)
    ]
    for engine in sorted({attempt.client.engine for queue in queues for attempt in queue}):
        opened.stage.engines.need(engine)
    promised = {name: Future[Outcome]() for name in chosen}
    enough = Event()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for queue in queues:
            pool.submit(make_all, queue, opened, promised, enough)
        try:
            yield promised
        finally:
            enough.set()


def staggered(queue: list[Try], number: int) -> list[Try]:
    """Begin at another reason than the clients beside this one, so that they differ."""
    first = number * len(queue) // AT_A_TIME % max(len(queue), 1)
    return queue[first:] + queue[:first]


def make_all(queue: list[Try], opened: Scene, promised: Mapping[str, Future[Outcome]], enough: Event) -> None:
    """One client's tries, one after another: builds on the same image at the same time share one request of BuildKit,
    and all get its response."""
    for attempt in queue:
        if enough.is_set():
            return
        try:
            promised[attempt.name].set_result(attempt.make(opened))
        except BaseException as problem:
            promised[attempt.name].set_exception(problem)


@pytest.mark.parametrize("attempt", [pytest.param(attempt, id=attempt.name) for attempt in TRIES])
def test_a_refused_client_shows_the_reason(
    attempt: Try, opened: Scene, outcomes: Mapping[str, Future[Outcome]]
) -> None:
    attempt.check(opened, outcomes[attempt.name].result())
