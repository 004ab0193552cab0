"""The isolation thread: one call at a time, in order, and the slow one is named."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial

import pytest

from agentd import isolation_thread
from agentd.isolation_thread import IsolationThread
from paddock.model.errors import PaddockError


async def test_calls_run_one_at_a_time_in_order_and_give_back_what_they_return_or_raise() -> None:
    thread = IsolationThread(asyncio.get_running_loop())
    running, most = 0, 0
    order: list[int] = []

    def call(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(number)
        threading.Event().wait(0.005)
        running -= 1
        if number == 3:
            raise PaddockError("three")
        return number

    answers = await asyncio.gather(
        *(thread.run(f"call {n}", partial(call, n)) for n in range(5)), return_exceptions=True
    )
    await asyncio.to_thread(thread.close)
    assert (most, order) == (1, [0, 1, 2, 3, 4])
    assert [str(answer) for answer in answers] == ["0", "1", "2", "three", "4"]


async def test_a_slow_call_is_named(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(isolation_thread, "DEADLINE_S", 0.02)
    thread = IsolationThread(asyncio.get_running_loop())
    await thread.run("prepare c1", lambda: threading.Event().wait(0.03))
    await asyncio.to_thread(thread.close)
    (record,) = caplog.records
    assert record.message == "isolation call is slow"
    assert vars(record)["call"] == "prepare c1"


async def test_a_caller_that_goes_away_does_not_disturb_the_thread() -> None:
    thread = IsolationThread(asyncio.get_running_loop())
    release = threading.Event()
    waiting = asyncio.create_task(thread.run("slow", lambda: release.wait(5)))
    await asyncio.sleep(0.01)
    waiting.cancel()
    release.set()
    assert await thread.run("next", lambda: 7) == 7
    await asyncio.to_thread(thread.close)


async def test_what_never_waits_is_called_where_it_is_asked_for_unless_something_else_runs() -> None:
    """One at a time and in order all the same, whatever it comes to."""
    thread = IsolationThread(asyncio.get_running_loop())
    threads: list[tuple[str, int]] = []
    answers: list[object] = []
    finished, release = asyncio.Event(), threading.Event()

    def done(answer: str) -> None:
        answers.append(answer)
        finished.set()

    def brief(name: str) -> None:
        def call() -> str:
            threads.append((name, threading.get_ident()))
            if name == "refused":
                raise PaddockError(name)
            return name

        thread.submit_brief(name, call, done, answers.append)

    brief("first")
    brief("refused")
    assert [str(answer) for answer in answers] == ["first", "refused"]
    finished.clear()
    waiting = asyncio.create_task(thread.run_in_turns("slow", [lambda: release.wait(5), lambda: True]))
    await asyncio.sleep(0)
    brief("behind")
    assert len(answers) == 2
    release.set()
    await finished.wait()
    assert await waiting == [True, True]
    brief("last")
    await asyncio.to_thread(thread.close)
    assert [str(answer) for answer in answers] == ["first", "refused", "behind", "last"]
    here = threading.get_ident()
    assert [(name, ident == here) for name, ident in threads] == [
        ("first", True),
        ("refused", True),
        ("behind", False),
        ("last", True),
    ]
