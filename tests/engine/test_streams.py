"""What goes on for long: commands in containers, events; and the engine that goes away in the middle."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from agentd.docker.answers import EngineEvent
from agentd.docker.engine import ExecOrder
from agentd.docker.events import EventFollower
from agentd.docker.exec_stream import ExecStream
from agentd.docker.failures import EngineAbsent, EngineUnresponsive
from agentd.docker.parameters import Body
from paddock.model.errors import NotFound
from testbed.engine import images
from testbed.engine.engine import Engine
from tests.descriptors import descriptors_of
from tests.engine.asking import PATIENT, Asker, asking, until

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]

LABELS = {"paddock.agent-id": "s-test"}
ACTIONS = ("create", "die", "destroy", "exec_create")
SLEEPER: Body = {"Image": images.BUSYBOX, "Cmd": ["sleep", "1000"], "Labels": dict(LABELS), "StopSignal": "9"}


@pytest.fixture
async def asker(engine: Engine) -> AsyncIterator[Asker]:
    async with asking(engine.socket, PATIENT) as found:
        yield found
        await asyncio.wait_for(found.calls.until_reachable(), 60)
        for container in await found.engine.list_containers(LABELS):
            await found.engine.remove(container.engine_id)


async def running(asker: Asker, *words: str) -> str:
    engine_id, _ = await asker.engine.create("paddock-s-c", {**SLEEPER, "Cmd": list(words or ("sleep", "1000"))})
    await asker.start(engine_id)
    return engine_id


@asynccontextmanager
async def executing(asker: Asker, container: str, *words: str) -> AsyncIterator[tuple[str, ExecStream]]:
    """Afterwards no pipe of it is left."""
    before = pipes()
    exec_id = await asker.engine.create_exec(container, ExecOrder(arguments=words))
    stream = await asker.engine.run_exec(exec_id)
    own = [stream.stdin_fd, stream.stdout_fd, stream.stderr_fd]
    try:
        yield exec_id, stream
    finally:
        stream.close()
        for fd in own:
            with suppress(OSError):  # the test may have closed it
                os.close(fd)
    await until(lambda: pipes() <= before)


def pipes() -> set[str]:
    return {name for name in descriptors_of(os.getpid()).values() if name.startswith("pipe:")}


async def all_of(fd: int) -> bytes:
    found = b""
    while came := await asyncio.to_thread(os.read, fd, 1 << 20):
        found += came
    return found


async def said(stream: ExecStream) -> tuple[bytes, bytes]:
    os.close(stream.stdin_fd)
    return tuple(await asyncio.gather(all_of(stream.stdout_fd), all_of(stream.stderr_fd)))  # type: ignore[return-value]


async def test_both_outputs_and_the_exit_code_of_a_command(asker: Asker) -> None:
    container = await running(asker)
    async with executing(asker, container, "sh", "-c", "echo out; echo trouble >&2; exit 7") as (exec_id, stream):
        assert await said(stream) == (b"out\n", b"trouble\n")
        await stream.finished()
        assert await asker.engine.exec_exit_code(exec_id) == 7


async def test_user_environment_and_directory_of_a_command(asker: Asker) -> None:
    container = await running(asker)
    exec_id = await asker.engine.create_exec(
        container,
        ExecOrder(
            arguments=("sh", "-c", "id -un; pwd; echo $A"),
            environment=("A=b c",),
            user="guest",
            working_directory="/tmp",
        ),
    )
    stream = await asker.engine.run_exec(exec_id)
    assert await said(stream) == (b"guest\n/tmp\nb c\n", b"")
    os.close(stream.stdout_fd)
    os.close(stream.stderr_fd)


async def test_a_command_reads_its_input_to_its_end(asker: Asker) -> None:
    container = await running(asker)
    text = os.urandom(3 << 20)
    async with executing(asker, container, "cat") as (exec_id, stream):
        pid = 0
        while not pid:
            pid = (await asker.engine.inspect_exec(exec_id)).pid

        def write() -> None:
            with open(stream.stdin_fd, "wb") as file:
                file.write(text)

        _, found = await asyncio.gather(asyncio.to_thread(write), all_of(stream.stdout_fd))
        assert found == text
        assert await asker.engine.exec_exit_code(exec_id) == 0


async def test_output_that_nobody_reads_holds_the_command_and_not_the_memory(asker: Asker) -> None:
    container = await running(asker)
    size = 8 << 20
    command = f"head -c {size} /dev/zero; echo done >&2"
    async with executing(asker, container, "sh", "-c", command) as (exec_id, stream):
        await asyncio.sleep(1)
        assert (await asker.engine.inspect_exec(exec_id)).running, "it waits in its write"
        # It is paused above twice its limit, by what asyncio reads at once.
        assert len(stream._stream.reader._buffer) <= 2 * 65536 + 256 * 1024  # type: ignore[attr-defined]
        out, err = await said(stream)
        assert (len(out), err) == (size, b"done\n")


async def test_a_reader_that_goes_away_does_not_hold_the_other(asker: Asker) -> None:
    container = await running(asker)
    command = "head -c 1000000 /dev/zero; echo done >&2"
    async with executing(asker, container, "sh", "-c", command) as (exec_id, stream):
        os.close(stream.stdout_fd)
        assert await all_of(stream.stderr_fd) == b"done\n"
        assert await asker.engine.exec_exit_code(exec_id) == 0


async def test_a_command_that_is_not_there_says_so_and_ends_like_a_shell_s(asker: Asker) -> None:
    container = await running(asker)
    async with executing(asker, container, "no-such-program") as (exec_id, stream):
        out, err = await said(stream)
        assert b"executable file not found" in out + err
        assert await asker.engine.exec_exit_code(exec_id) in {126, 127}


async def test_a_command_that_is_not_known_is_not_found(asker: Asker) -> None:
    with pytest.raises(NotFound, match="exec 'nope'"):
        await asker.engine.run_exec("nope")


async def test_closed_at_once_nothing_is_left_of_it_here(asker: Asker) -> None:
    container = await running(asker)
    async with executing(asker, container, "sleep", "1000") as (_, stream):
        stream.close()
        assert await all_of(stream.stdout_fd) == b""


@asynccontextmanager
async def following(asker: Asker) -> AsyncIterator[list[str | EngineEvent]]:
    told: list[str | EngineEvent] = []
    follower = EventFollower(
        calls=asker.calls,
        labels=LABELS,
        actions=ACTIONS,
        connected=lambda: told.append("connected"),
        heard=told.append,
    )
    task = asyncio.create_task(follower.follow())
    await until(lambda: told == ["connected"])
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_events_of_containers_with_the_label_are_told_and_no_others(asker: Asker) -> None:
    async with following(asker) as told:
        foreign, _ = await asker.engine.create("paddock-other", {**SLEEPER, "Labels": {}})
        container = await running(asker, "sh", "-c", "exit 3")
        await until(lambda: any(isinstance(event, EngineEvent) and event.action == "die" for event in told))
        await asker.engine.remove(container)
        await asker.engine.remove(foreign)
        await until(lambda: any(isinstance(event, EngineEvent) and event.action == "destroy" for event in told))
        events = [event for event in told if isinstance(event, EngineEvent)]
        assert {event.engine_id for event in events} == {container}
        assert [event.action for event in events] == ["create", "die", "destroy"], "nobody wants to hear of its start"
        (died,) = [event for event in events if event.action == "die"]
        assert died.exit_code == 3
        assert dict(died.attributes)["paddock.agent-id"] == "s-test"
        assert died.time_ns > 0


async def test_an_engine_that_is_killed_ends_what_went_on_and_events_begin_anew(hurt_engine: Engine) -> None:
    async with asking(hurt_engine.socket, PATIENT) as asker:
        hurt_engine.restart(live_restore=True)
        container = await running(asker)
        async with following(asker) as told, executing(asker, container, "sleep", "1000") as (exec_id, stream):
            hurt_engine.kill()
            assert await said(stream) == (b"", b""), "its pipes end"
            with pytest.raises((EngineUnresponsive, EngineAbsent)):
                await asker.engine.exec_exit_code(exec_id)
            assert told.count("connected") == 1
            hurt_engine.start()
            await until(lambda: told.count("connected") == 2)
            before_count = len(told)
            await asker.engine.create_exec(container, ExecOrder(arguments=("true",)))
            await until(lambda: len(told) > before_count)


async def test_connections_that_end_are_known_to_the_engine_s_state(hurt_engine: Engine) -> None:
    """Also when nobody asks anything: the settings may be others."""
    async with asking(hurt_engine.socket, PATIENT) as asker, following(asker) as told:
        hurt_engine.restart(live_restore=True)
        await until(lambda: told.count("connected") == 2)
        await until(lambda: asker.calls.state.facts is not None and asker.calls.state.facts.live_restore)
