"""Signals, the tasks of a process, and its end when one of them ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from berth.runtime.supervisor import Supervisor, TasksEndedError, run_process, stop_on_signals


async def forever() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise KeyError("gone")


async def returns() -> None:
    return


async def test_a_stop_ends_the_block_and_cancels_the_tasks() -> None:
    stop = asyncio.Event()
    async with Supervisor(stop) as supervisor:
        task = supervisor.start("endless", forever())
        asyncio.get_running_loop().call_soon(stop.set)
        await supervisor.wait()
        assert (supervisor.ended, supervisor.health.ok) == ({}, True)
    assert task.cancelled()


@pytest.mark.parametrize(("task", "error"), [(fails, "KeyError"), (returns, "RuntimeError")])
async def test_a_task_that_ends_stops_the_process_and_is_reported(
    task: Callable[[], Coroutine[Any, Any, None]], error: str
) -> None:
    supervisor = Supervisor()

    async def process() -> None:
        async with supervisor:
            other = supervisor.start("other", forever())
            supervisor.start("broken", task())
            await supervisor.wait()
            assert supervisor.ended == {"broken": error}
            assert (supervisor.health.ok, supervisor.health.details) == (False, {"ended": {"broken": error}})
            assert not other.done()

    with pytest.raises(TasksEndedError) as ended:
        await process()
    assert [type(one).__name__ for one in ended.value.exceptions] == [error]


async def test_a_task_that_is_cancelled_from_elsewhere_has_ended() -> None:
    supervisor = Supervisor()

    async def process() -> None:
        async with supervisor:
            task = supervisor.start("cancelled", forever())
            await asyncio.sleep(0)
            task.cancel()
            await supervisor.wait()

    with pytest.raises(TasksEndedError):
        await process()


async def test_a_task_that_may_return_only_counts_when_it_fails() -> None:
    supervisor = Supervisor()

    async def process() -> None:
        async with supervisor:
            await supervisor.start("migration", returns(), may_return=True)
            await asyncio.sleep(0)
            assert supervisor.ended == {}
            supervisor.start("another migration", fails(), may_return=True)
            await supervisor.wait()

    with pytest.raises(TasksEndedError):
        await process()
    assert supervisor.ended == {"another migration": "KeyError"}


async def test_an_error_while_a_task_is_cancelled_is_only_logged() -> None:
    async def cleans_up_badly() -> None:
        try:
            await forever()
        finally:
            raise OSError("cleanup")

    with capture_logs() as logged:
        async with Supervisor() as supervisor:
            supervisor.start("clumsy", cleans_up_badly())
            await asyncio.sleep(0)
    assert supervisor.ended == {}
    assert [line["task"] for line in logged] == ["clumsy"]


async def test_an_error_of_the_block_is_raised_in_place_of_that_of_a_task() -> None:
    async def process() -> None:
        async with Supervisor() as supervisor:
            supervisor.start("broken", fails())
            await supervisor.wait()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await process()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_stop_the_process(number: signal.Signals) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    os.kill(os.getpid(), number)
    await asyncio.wait_for(stop.wait(), 5)
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(each)


def test_a_process_whose_task_ended_exits_with_status_1() -> None:
    async def main() -> None:
        async with Supervisor() as supervisor:
            supervisor.start("broken", fails())
            await supervisor.wait()

    with pytest.raises(SystemExit) as exit_:
        run_process(main())
    assert exit_.value.code == 1
    run_process(returns())
