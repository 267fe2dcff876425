"""A key is handed out at once the first time, and then at most once in its interval."""

from __future__ import annotations

import asyncio

from berth.catalog.publish.debounce import DebouncedQueue


async def test_a_new_key_comes_out_at_once() -> None:
    queue = DebouncedQueue[str](interval_seconds=3600)
    queue.add("a")
    assert await queue.take() == "a"


async def test_a_key_that_waits_is_not_added_twice() -> None:
    queue = DebouncedQueue[str](interval_seconds=0)
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert [await queue.take(), await queue.take()] == ["a", "b"]
    assert len(queue) == 2


async def test_a_key_with_an_effect_waits_for_its_interval_and_others_do_not() -> None:
    queue = DebouncedQueue[str](interval_seconds=0.05)
    loop = asyncio.get_running_loop()
    queue.add("a")
    queue.done(await queue.take(), effect=True)
    began = loop.time()
    queue.add("a")
    queue.add("b")
    assert await queue.take() == "b"
    assert await queue.take() == "a"
    assert loop.time() - began >= 0.049


async def test_a_key_without_an_effect_comes_out_at_once_again() -> None:
    queue = DebouncedQueue[str](interval_seconds=3600)
    queue.add("a")
    queue.done(await queue.take(), effect=False)
    queue.add("a")
    assert await queue.take() == "a"


async def test_a_key_that_is_worked_on_comes_again_afterwards() -> None:
    queue = DebouncedQueue[str](interval_seconds=0)
    queue.add("a")
    key = await queue.take()
    queue.add("a")
    queue.add("b")
    assert await queue.take() == "b", "never the same key twice at a time"
    queue.done(key, effect=True)
    assert await queue.take() == "a"


async def test_a_failed_key_is_tried_again_and_sooner_when_it_is_added() -> None:
    queue = DebouncedQueue[str](interval_seconds=0)
    queue.add("a")
    queue.done(await queue.take(), effect=False, retry_in=3600)
    assert len(queue) == 1
    queue.add("a")
    assert await queue.take() == "a"
    queue.done("a", effect=False)
    assert len(queue) == 0
