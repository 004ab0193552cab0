"""What a container is promised, whoever runs it: output, commands inside, a death in any state, its limits and the truth."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agentd.containerizer.contract import Restored
from agentd.containerizer.native import NativeContainerizer
from agentd.core import events
from agentd.docker.creation import name_of
from agentd.isolation_thread import IsolationThread
from paddock.model.container import Container, ContainerConfig, ContainerState
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo
from testbed.engine import images
from tests.contract.containerizer.subject import ROOT, TIMEOUT_S, Subject, make

EAT = "dd if=/dev/zero of=/dev/null bs=100M count=1"
"""More than it has."""


async def concluded(subject: Subject, config: ContainerConfig, ended: events.Ended) -> events.Concluded:
    subject.containerizer.conclude(config, ended.record, launched=True)
    event = await subject.hear(events.Concluded)
    assert isinstance(event, events.Concluded)
    subject.assert_gone(config)
    return event


async def test_its_output_is_in_its_sandbox(subject: Subject) -> None:
    config, _ = await subject.started("/bin/sh", "-c", "echo out; echo err >&2")
    await concluded(subject, config, await subject.ended())
    assert [Path(config.sandbox, name).read_bytes() for name in ("stdout", "stderr")] == [b"out\n", b"err\n"]


async def test_a_command_runs_inside_and_its_end_is_told(subject: Subject) -> None:
    config, _ = await subject.started("/bin/sleep", "1000")
    order = CommandInfo(arguments=("/bin/sh", "-c", "read word; echo heard $word; exit 9"))
    inside = await subject.containerizer.execute(config.container_id, order, ROOT)
    try:
        os.write(inside.stdin_fd, b"word\n")
        async with asyncio.timeout(TIMEOUT_S):
            assert os.waitstatus_to_exitcode(await inside.wait()) == 9
        os.set_blocking(inside.stdout_fd, True)
        assert await asyncio.to_thread(os.read, inside.stdout_fd, 100) == b"heard word\n"
    finally:
        for fd in (inside.stdin_fd, inside.stdout_fd, inside.stderr_fd):
            os.close(fd)
    subject.containerizer.kill(config.container_id, 9, 0)
    await concluded(subject, config, await subject.ended())


async def test_killed_while_it_is_prepared_it_is_never_launched(subject: Subject) -> None:
    config = subject.config("/bin/sleep", "1000")
    subject.containerizer.prepare(config)
    subject.containerizer.cancel_fetch(config.container_id)
    await subject.hear(events.Prepared)
    subject.containerizer.conclude(config, None, launched=False)
    await subject.hear(events.Concluded)
    subject.assert_gone(config)


async def test_killed_while_it_is_launched_it_ends(subject: Subject) -> None:
    config = subject.config("/bin/sleep", "1000")
    subject.containerizer.prepare(config)
    await subject.hear(events.Prepared)
    subject.containerizer.launch(config.container_id)
    subject.containerizer.kill(config.container_id, 15, 0)
    ended = await subject.hear(events.Ended, events.LaunchFailed)
    record = ended.record if isinstance(ended, events.Ended) else None
    await concluded(subject, config, events.Ended(container_id=config.container_id, record=record))


async def test_killed_when_it_has_ended_it_stays_as_it_was(subject: Subject) -> None:
    config, _ = await subject.started("/bin/sh", "-c", "exit 6")
    ended = await subject.ended()
    subject.containerizer.kill(config.container_id, 15, 0)
    again = await subject.ended()
    assert again.record is not None
    assert os.waitstatus_to_exitcode(again.record.wait_status or 0) == 6
    await concluded(subject, config, ended)


@pytest.mark.parametrize("is_main", [True, False])
async def test_whom_the_kernel_kills_for_memory_is_told(subject: Subject, is_main: bool) -> None:
    config, _ = await subject.started("/bin/sh", "-c", f"sleep 0.2; {f'exec {EAT}' if is_main else f'{EAT}; exit 0'}")
    ended = await subject.ended()
    assert ended.record is not None
    assert ended.record.wait_status == (9 if is_main else 0)
    assert [(each.comm, each.main) for each in ended.record.victims or ()] == [("dd", is_main)]
    memory = (await concluded(subject, config, ended)).evidence.memory
    assert memory is not None
    assert memory.oom_kill_count == 1
    assert memory.limit_bytes == 64 << 20


async def watched(subject: Subject, script: str) -> ContainerConfig:
    """It runs, with 16 MiB of disk."""
    config = subject.config("/bin/sh", "-c", script)
    config = replace(config, resources=Resources.scalars({"cpus": 100, "mem": 64_000, "disk": 16_000}))
    subject.containerizer.prepare(config)
    await subject.hear(events.Prepared)
    subject.containerizer.launch(config.container_id)
    await subject.hear(events.Started)
    subject.containerizer.watch(config.container_id)
    return config


async def test_who_writes_more_than_its_disk_is_named(subject: Subject) -> None:
    script = "cd $PADDOCK_SANDBOX; dd if=/dev/zero of=large bs=1M count=40; exec sleep 1000"
    config = await watched(subject, script)
    limited = await subject.hear(events.Limited)
    assert isinstance(limited, events.Limited)
    assert limited.limitation.fatal
    assert "large" in limited.limitation.message
    subject.containerizer.kill(config.container_id, 9, 0)
    await concluded(subject, config, await subject.ended())


async def test_what_is_written_after_a_resize_counts_as_before(subject: Subject) -> None:
    """An engine's container writes into its image's layer; that it counts is told once, at its start."""
    place = "/big" if subject.engine is not None else "$PADDOCK_SANDBOX/big"
    script = f"mkdir {place}; dd if=/dev/zero of={place}/first bs=1M count=4; exec sleep 1000"
    config = await watched(subject, script)
    async with asyncio.timeout(TIMEOUT_S):
        while (await disk_used_bytes(subject, config) or 0) < 4 << 20:
            await asyncio.sleep(0.05)
    wanted = replace(config, resources=Resources.scalars({"cpus": 100, "mem": 64_000, "disk": 20_000}))
    subject.containerizer.resize(wanted)
    assert await subject.hear(events.Resized) == events.Resized(container_id=config.container_id)
    order = CommandInfo(arguments=("/bin/sh", "-c", f"dd if=/dev/zero of={place}/more bs=1M count=40"))
    inside = await subject.containerizer.execute(config.container_id, order, ROOT)
    try:
        assert (await disk_used_bytes(subject, config) or 0) >= 4 << 20, "what was known is known still"
        limited = await subject.hear(events.Limited)
        assert isinstance(limited, events.Limited)
        assert limited.limitation.disk is not None
        assert limited.limitation.disk.limit_bytes == 20 << 20
        assert "big " in limited.limitation.message
    finally:
        for fd in (inside.stdin_fd, inside.stdout_fd, inside.stderr_fd):
            os.close(fd)
    subject.containerizer.kill(config.container_id, 9, 0)
    await concluded(subject, config, await subject.ended())


async def disk_used_bytes(subject: Subject, config: ContainerConfig) -> int | None:
    """As it was last counted."""
    (found,) = await subject.containerizer.usage([config.container_id])
    return found.disk_used_bytes


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [8, pytest.param(100, marks=pytest.mark.long)])
async def test_many_at_once(subject: Subject, count: int) -> None:
    configs = {config.container_id: config for config in (subject.config("/bin/sleep", "1000") for _ in range(count))}
    running: set[int] = set()
    left = dict(configs)
    for config in configs.values():
        subject.containerizer.prepare(config)
    async with asyncio.timeout(TIMEOUT_S * (2 + count / 2)):
        while left:
            match await subject.said.get():
                case events.Prepared(container_id=container_id):
                    subject.containerizer.launch(container_id)
                case events.Started(pid=pid):
                    running.add(pid)
                    for container_id in configs if len(running) == count else ():
                        subject.containerizer.kill(container_id, 9, 0)
                case events.Ended(container_id=container_id, record=record):
                    assert len(running) == count, "one has ended by itself"
                    subject.containerizer.conclude(configs[container_id], record, launched=True)
                case events.Concluded(container_id=container_id):
                    assert not subject.cgroups(left.pop(container_id))
                case events.EngineChanged():
                    pass  # of no container
                case other:
                    raise AssertionError(other)


async def next_agent(subject: Subject, config: ContainerConfig) -> IsolationThread:
    """In place of the one that has died while it launched this."""
    await subject.containerizer.stop()
    subject.containerizer, thread = make(subject)
    await subject.containerizer.start()
    view = Container(config=config, state=ContainerState.LAUNCHING)
    await subject.containerizer.recover([Restored(container=view, same_boot=True)])
    return thread


async def test_an_agent_that_dies_with_the_words_of_a_failure_finds_them_again(subject: Subject) -> None:
    """Until it says that its own log has them."""
    config = subject.config("/no/such/program")
    subject.containerizer.prepare(config)
    await subject.hear(events.Prepared)
    subject.containerizer.launch(config.container_id)
    first = await subject.hear(events.LaunchFailed)
    assert isinstance(first, events.LaunchFailed)
    subject.containerizer.conclude(config, None, launched=True)
    await subject.hear(events.Concluded)
    thread = await next_agent(subject, config)
    again = await subject.hear(events.LaunchFailed, events.Ended)
    record = again.record if isinstance(again, events.Ended) else None
    failure = again.failure if isinstance(again, events.LaunchFailed) else record and record.launch_error
    assert failure == first.failure
    subject.containerizer.conclude(config, record, launched=True)
    await subject.hear(events.Concluded)
    subject.containerizer.discard(config.container_id)
    async with asyncio.timeout(TIMEOUT_S):
        while [*Path(subject.directory).glob(f"*/{config.container_id}.*")]:
            await asyncio.sleep(0.01)
    await subject.containerizer.stop()
    thread.close()


@contextmanager
def taken_name(subject: Subject, config: ContainerConfig) -> Iterator[None]:
    """By a container that is not ours."""
    assert subject.engine is not None
    with images.client(subject.engine) as api:
        name = name_of(config.agent_id, config.container_id)
        foreign = api.create_container(images.BUSYBOX, ["true"], name=name)["Id"]
        try:
            yield
        finally:
            api.remove_container(foreign)


# For a native one nobody creates anything.
@pytest.mark.parametrize("subject", [pytest.param("docker", marks=pytest.mark.no_cgroups)], indirect=True)
@pytest.mark.parametrize("has_killed", [True, False])
async def test_an_agent_that_dies_when_it_has_given_up_a_launch_leaves_the_reason(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, has_killed: bool
) -> None:
    """Also where it has not come to the end of what was there already."""
    config = subject.config("/bin/true")
    subject.containerizer.prepare(config)
    await subject.hear(events.Prepared)
    with taken_name(subject, config):
        if not has_killed:
            monkeypatch.setattr(NativeContainerizer, "kill", lambda *_: None)
        subject.containerizer.launch(config.container_id)
        async with asyncio.timeout(TIMEOUT_S):
            while not Path(subject.directory, "docker", f"{config.container_id}.note").exists():
                await asyncio.sleep(0.01)
        if has_killed:
            await subject.hear(events.LaunchFailed)
        monkeypatch.undo()
        thread = await next_agent(subject, config)
        failed = await subject.hear(events.LaunchFailed, events.Ended)
        assert isinstance(failed, events.LaunchFailed)
        assert failed.failure.stage == "create"
        assert "already exists: the engine's container" in failed.failure.message
        subject.containerizer.conclude(config, None, launched=True)
        await subject.hear(events.Concluded)
    await subject.containerizer.stop()
    thread.close()


async def test_a_word_that_comes_after_the_end_is_taken_away(subject: Subject) -> None:
    """A stand-in that was slow to notice that its shim is gone."""
    config, _ = await subject.started("/bin/true")
    await concluded(subject, config, await subject.ended())
    subject.containerizer.discard(config.container_id)
    notes = Path(subject.directory, "docker")
    if subject.engine is None:
        assert not notes.exists(), "only an engine's containers have stand-ins"
        return
    late = notes / f"{config.container_id}.note"
    Path(f"{late}.new").write_text('{"format": 1}')
    Path(f"{late}.new").rename(late)
    async with asyncio.timeout(TIMEOUT_S):
        while late.exists():
            await asyncio.sleep(0.01)
