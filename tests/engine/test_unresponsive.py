"""The engine hung, absent, killed, restarted, silent: every caller has its answer in time, and the state is told."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from agentd.docker.failures import EngineAbsent, EngineUnresponsive
from testbed.engine.engine import Engine
from tests.engine.asking import HASTY, PATIENT, Asker, asking, until
from tests.engine.silent import silent_engine

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]

# A busy machine adds to each deadline, but never this much.
SLACK_S = 20


async def refused(asker: Asker) -> Exception:
    with pytest.raises((EngineAbsent, EngineUnresponsive)) as caught:
        await asker.engine.inspect("paddock-a-c")
    return caught.value


async def test_hung_it_costs_each_call_its_deadline_then_nothing_and_it_comes_back(hurt_engine: Engine) -> None:
    async with asking(hurt_engine.socket, HASTY) as asker:
        await until(lambda: asker.calls.state.reachable)
        hurt_engine.pause()
        begun_s = time.monotonic()
        longest_pause_s = 0.0

        async def beat() -> None:
            """What else the event loop has to do."""
            nonlocal longest_pause_s
            while True:
                before_s = time.monotonic()
                await asyncio.sleep(0.01)
                longest_pause_s = max(longest_pause_s, time.monotonic() - before_s)

        heart = asyncio.create_task(beat())
        errors = await asyncio.gather(*(refused(asker) for _ in range(300)))
        assert time.monotonic() - begun_s < HASTY.look_s + SLACK_S, "no queue is waited for at an engine that hangs"
        assert {type(error) for error in errors} == {EngineUnresponsive}
        await until(lambda: not asker.calls.state.reachable)
        assert "docker engine unresponsive since 20" in asker.calls.state.words
        begun_s = time.monotonic()
        for _ in range(500):
            error = await refused(asker)
            assert "was not asked: docker engine unresponsive since" in str(error)
        assert time.monotonic() - begun_s < SLACK_S, "each of these would have waited for its deadline"
        heart.cancel()
        assert longest_pause_s < SLACK_S, "the event loop was never held"
        facts = asker.calls.state.facts
        assert facts is not None, "who it was is still known"
        hurt_engine.resume()
        await until(lambda: asker.calls.state.reachable)
        assert asker.calls.state.last_error == ""


async def test_hung_while_nobody_asks_it_is_noticed(hurt_engine: Engine) -> None:
    async with asking(hurt_engine.socket, HASTY) as asker:
        await until(lambda: asker.calls.state.reachable)
        hurt_engine.pause()
        await until(lambda: not asker.calls.state.reachable)
        assert "did not answer within" in asker.calls.state.last_error


async def test_killed_it_is_absent_and_started_again_it_is_asked_who_it_is(hurt_engine: Engine) -> None:
    async with asking(hurt_engine.socket, HASTY) as asker:
        await until(lambda: asker.calls.state.reachable)
        hurt_engine.kill()
        assert isinstance(await refused(asker), EngineAbsent)
        await until(lambda: not asker.calls.state.reachable)
        error = await refused(asker)
        assert isinstance(error, EngineAbsent)
        assert "Connection refused" in str(error)
        hurt_engine.live_restore = True
        hurt_engine.start()
        await until(lambda: asker.calls.state.reachable)
        facts = asker.calls.state.facts
        assert facts is not None
        assert facts.live_restore


async def test_restarted_between_two_calls_nothing_is_noticed_but_what_has_changed(hurt_engine: Engine) -> None:
    async with asking(hurt_engine.socket, PATIENT) as asker:
        await asker.engine.list_containers({})
        hurt_engine.restart(live_restore=True)
        await asker.engine.list_containers({})
        asker.calls.suspect()
        await until(lambda: asker.calls.state.facts is not None and asker.calls.state.facts.live_restore)


async def test_with_no_engine_at_all_one_starts_all_the_same(tmp_path: Path) -> None:
    async with asking(tmp_path / "none.sock", HASTY) as asker:
        assert not asker.calls.state.reachable
        error = await refused(asker)
        assert isinstance(error, EngineAbsent)
        assert "No such file or directory" in str(error)
        assert "--docker-socket" in str(error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[]", "version is []"),
        (b"<html>", "does not speak its API"),
        (b'{"ApiVersion": "1.24", "MinAPIVersion": "1.12", "Version": "1.12.6"}', "install Docker 20.10 or newer"),
    ],
)
async def test_what_listens_there_and_is_no_engine_of_ours_is_told(tmp_path: Path, body: bytes, words: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n%s" % (len(body), body)
    with silent_engine(tmp_path / "s", at_once=answer):
        async with asking(tmp_path / "s", HASTY) as asker:
            await until(lambda: words in asker.calls.state.last_error)
            assert not asker.calls.state.reachable
            assert words in str(await refused(asker))


async def test_accepting_and_never_answering_is_a_hung_engine_and_few_probes_are_sent(tmp_path: Path) -> None:
    with silent_engine(tmp_path / "s") as heard:
        async with asking(tmp_path / "s", HASTY) as asker:
            assert not asker.calls.state.reachable
            errors = await asyncio.gather(*(refused(asker) for _ in range(1000)))
            assert {type(error) for error in errors} == {EngineUnresponsive}
            count, begun_s = len(heard), time.monotonic()
            await asyncio.sleep(1.2)
            most = 2 + (time.monotonic() - begun_s) / HASTY.ping_s
            assert len(heard) - count <= most, "each probe is waited for to its deadline"
            assert all(request.startswith(b"GET /version ") for request in heard if request)
