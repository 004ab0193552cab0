"""A lane's threads: bounded, free again at the deadline whatever the other side does, and gone at the end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentd.docker.lane import Lane, LaneLimits, NotAnswered, NotSent
from agentd.docker.plain_http import HttpError
from agentd.docker.transport import Client, DeadlinePassed, Refusal
from tests.engine.silent import silent_engine

LIMITS = LaneLimits(threads_count=2, waiting_count=3, waiting_s=30)
SHORT_S = 0.4
# A busy machine adds to a deadline, but never this much.
SLACK_S = 15


@asynccontextmanager
async def lane_to(path: Path, limits: LaneLimits = LIMITS) -> AsyncIterator[Lane]:
    lane = Lane("test", str(path), limits, asyncio.get_running_loop())
    try:
        yield lane
    finally:
        await lane.close()
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("docker-test")]


def by_the_package(client: Client) -> object:
    found: object = client.info()
    return found


def by_ourselves(client: Client) -> object:
    return client.image("busybox:1")


Ask = Callable[[Client], object]


async def ask(lane: Lane, deadline_s: float = SHORT_S, way: Ask = by_the_package) -> object:
    return await lane.run(way, api_version="1.41", deadline_s=deadline_s)


async def begun(heard: list[bytes], count: int) -> None:
    while sum(map(bool, heard)) < count:
        await asyncio.sleep(0.01)


# What a client with a time-out of its own for each read would wait for without an end.
TRICKLES = {
    "nothing": b"",
    "a head without an end": b"HTTP/1.1 200 OK\r\nX: x",
    "a body without an end": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n ",
    "an error without an end": b"HTTP/1.1 500 No\r\nContent-Length: 99999\r\n\r\n ",
}


@pytest.mark.parametrize("way", [by_the_package, by_ourselves])
@pytest.mark.parametrize("trickle", TRICKLES.values(), ids=TRICKLES.keys())
async def test_each_caller_has_its_answer_at_the_deadline_and_the_threads_are_free_again(
    tmp_path: Path, trickle: bytes, way: Ask
) -> None:
    with silent_engine(tmp_path / "s", trickle=trickle):
        async with lane_to(tmp_path / "s") as lane:
            for _ in range(2):
                begun_s = time.monotonic()
                results = await asyncio.gather(*(ask(lane, way=way) for _ in range(2)), return_exceptions=True)
                assert SHORT_S <= time.monotonic() - begun_s < SHORT_S + SLACK_S
                assert {type(result) for result in results} <= {NotAnswered, DeadlinePassed}
                assert {str(result) for result in results} == {"did not answer within 0.4 s"}


async def test_what_is_too_much_is_refused_at_once_and_what_waits_too_long_is_not_sent(tmp_path: Path) -> None:
    limits = LaneLimits(threads_count=2, waiting_count=3, waiting_s=SHORT_S)
    with silent_engine(tmp_path / "s") as heard:
        async with lane_to(tmp_path / "s", limits) as lane:
            sent = [asyncio.create_task(ask(lane, 60)) for _ in range(2)]
            await begun(heard, 2)
            waiting = [asyncio.create_task(ask(lane, 60)) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(NotSent, match="3 calls wait for it already"):
                await ask(lane, 60)
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert {str(result) for result in results} == {f"{n} calls were before it for 0.4 s" for n in range(3)}
            assert len(heard) == 2
            assert not any(task.done() for task in sent)
            for task in sent:
                task.cancel()
            await asyncio.gather(*sent, return_exceptions=True)


async def test_a_caller_that_goes_away_frees_its_thread_long_before_the_deadline(tmp_path: Path) -> None:
    limits = LaneLimits(threads_count=1, waiting_count=3, waiting_s=30)
    with silent_engine(tmp_path / "s") as heard:
        async with lane_to(tmp_path / "s", limits) as lane:
            gone = asyncio.create_task(ask(lane, 600))
            await begun(heard, 1)
            gone.cancel()
            with pytest.raises((NotAnswered, DeadlinePassed)):
                await ask(lane)  # it would not have been sent, had the thread not been free


async def test_those_that_wait_can_be_dropped_together(tmp_path: Path) -> None:
    with silent_engine(tmp_path / "s") as heard:
        async with lane_to(tmp_path / "s") as lane:
            sent = [asyncio.create_task(ask(lane, 60)) for _ in range(2)]
            await begun(heard, 2)
            waiting = [asyncio.create_task(ask(lane, 60)) for _ in range(3)]
            await asyncio.sleep(0)
            lane.drop_waiting("it is gone")
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert [repr(result) for result in results] == ["NotSent('it is gone')"] * 3
            assert not any(task.done() for task in sent)
            await lane.close()
            results = await asyncio.gather(*sent, return_exceptions=True)
            assert {str(result) for result in results} == {"did not answer before agentd ended"}
            with pytest.raises(NotSent, match="agentd ends"):
                await ask(lane)


@pytest.mark.parametrize("way", [by_the_package, by_ourselves])
async def test_nobody_listens(tmp_path: Path, way: Ask) -> None:
    async with lane_to(tmp_path / "s") as lane:
        with pytest.raises(FileNotFoundError):
            await ask(lane, way=way)


NO = b"HTTP/1.1 404 Not Found\r\nContent-Length: 25\r\n\r\n{"
OURS = {
    NO + b'"message": "no image"}  ': "status 404",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{]}": "Expecting property name",
    b"SSH-2.0-OpenSSH\r\n\r\n": "answer begins with 'SSH-2.0-OpenSSH'",
}


@pytest.mark.parametrize(("said", "error"), OURS.items(), ids=("a refusal", "no JSON", "no HTTP"))
async def test_what_we_ask_ourselves_is_answered_with_words_or_an_error(
    tmp_path: Path, said: bytes, error: str
) -> None:
    with silent_engine(tmp_path / "s", at_once=said):
        async with lane_to(tmp_path / "s") as lane:
            with pytest.raises((Refusal, ValueError, HttpError), match=error):
                await ask(lane, 60, by_ourselves)


async def test_a_value_and_an_error_come_back_as_they_are(tmp_path: Path) -> None:
    async with lane_to(tmp_path / "s") as lane:

        def fail(client: Client) -> None:
            raise KeyError("x")

        versions = [
            await lane.run(lambda client: client.api_version, api_version=version, deadline_s=9)
            for version in ("1.41", "1.43")
        ]
        assert versions == ["1.41", "1.43"]
        with pytest.raises(KeyError):
            await lane.run(fail, api_version="1.43", deadline_s=9)


async def test_a_thread_that_is_stuck_elsewhere_does_not_hold_its_caller(tmp_path: Path) -> None:
    stuck = threading.Event()
    async with lane_to(tmp_path / "s") as lane:
        with pytest.raises(NotAnswered, match="did not answer within 0.4 s"):
            await lane.run(lambda client: stuck.wait(), api_version="1.41", deadline_s=SHORT_S)
        stuck.set()


async def test_nothing_of_roots_own_docker_configuration_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"HttpHeaders": {"X-Root": "secret"}, "auths": {"r": {"auth": "YTpi"}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with silent_engine(tmp_path / "s") as heard:
        async with lane_to(tmp_path / "s") as lane:
            asked = asyncio.create_task(ask(lane, 60))
            await begun(heard, 1)
            asked.cancel()
    assert heard[0].startswith(b"GET /v1.41/info HTTP/1.1\r\n")
    assert b"secret" not in heard[0]
    assert b"Auth" not in heard[0]
