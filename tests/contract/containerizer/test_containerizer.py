"""What every containerizer must keep: each verb is answered by its events, may come twice, and leaves nothing."""

import asyncio
import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from agentd.containerizer.composing import ComposingContainerizer
from agentd.containerizer.contract import Restored
from agentd.core import events
from agentd.docker import creation
from isolators.host import read_host_facts
from paddock.kernel.processes import has_ended, open_pidfd
from paddock.model.container import Container, ContainerState
from paddock.model.docker import DockerInfo
from paddock.model.errors import InvalidRequest, NotFound, Unavailable
from paddock.model.ids import ContainerId
from paddock.model.image import parse_image
from paddock.model.task import CommandInfo, ContainerInfo, ContainerType, ResourceLimits
from testbed.engine import images
from tests.agentd_process import cgroup_points
from tests.contract.containerizer.subject import ROOT, TIMEOUT_S, Subject, make
from tests.faults.stage import name_of


async def test_a_life_is_prepared_started_ended_concluded(subject: Subject) -> None:
    config, started = await subject.started("/bin/sh", "-c", "exit 6")
    assert started.container_id == config.container_id
    ended = await subject.ended()
    assert ended.record is not None
    assert os.waitstatus_to_exitcode(ended.record.wait_status or 0) == 6
    assert ended.record.pid == started.pid
    await subject.conclude(config, ended)
    engines = subject.containerizer.engines()
    assert {name: engine.reachable for name, engine in engines.items()} == ({"docker": True} if subject.engine else {})


async def test_a_resize_is_answered_and_may_come_twice(subject: Subject) -> None:
    config, _ = await subject.started("/bin/sleep", "1000")
    wanted = replace(config, limits=ResourceLimits(pids_count=17))
    for _ in range(2):
        subject.containerizer.resize(wanted)
        assert await subject.hear(events.Resized) == events.Resized(container_id=config.container_id)
        limits = {each.resource: each for each in await subject.containerizer.limits(config.container_id)}
        assert (limits["pids limit"].planned, limits["pids limit"].in_force) == ("17", "17")
        if subject.engine is not None:
            # What is smaller holds: the engine's own limit is below ours.
            with images.client(subject.engine) as api:
                name = creation.name_of(config.agent_id, config.container_id)
                assert api.inspect_container(name)["HostConfig"]["PidsLimit"] == 17
    subject.containerizer.resize(replace(wanted, limits=ResourceLimits(pids_count=-7)))
    refused = await subject.hear(events.Resized)
    assert isinstance(refused, events.Resized)
    assert isinstance(refused.error, InvalidRequest)
    limits = {each.resource: each for each in await subject.containerizer.limits(config.container_id)}
    assert (limits["pids limit"].planned, limits["pids limit"].in_force) == ("17", "17")
    subject.containerizer.kill(config.container_id, 9, 0)
    await subject.conclude(config, await subject.ended())
    subject.containerizer.resize(wanted)
    late = await subject.hear(events.Resized)
    assert isinstance(late, events.Resized)
    assert isinstance(late.error, Unavailable)


BEYOND_ANY_MACHINE_BYTES = 1 << 60


async def test_limits_are_taken_away_and_given_again(subject: Subject) -> None:
    """As the kernel has them where the command is: an engine's cgroup is below the one that we write."""
    config, started = await subject.started("/bin/sleep", "1000")
    counts_swap = read_host_facts(subject.agent_id).swap_accounting
    swap_bytes = 8 << 20 if counts_swap else None
    given = ResourceLimits(pids_count=17, cpus_milli=150, memory_bytes=80 << 20, swap_bytes=swap_bytes)
    less = replace(given, cpus_milli=120, memory_bytes=72 << 20)
    none = ResourceLimits(pids_count=-1, cpus_milli=-1, memory_bytes=-1)
    swap_only = ResourceLimits(memory_bytes=72 << 20, swap_bytes=-1)
    for limits in (given, none, none, given, less, swap_only):
        subject.containerizer.resize(replace(config, limits=limits))
        assert await subject.hear(events.Resized) == events.Resized(container_id=config.container_id)
        if limits.cpus_milli in {150, 120}:
            assert in_force(started.pid, "pids.max") == "17"
            quota_us = in_force(started.pid, "cpu.cfs_quota_us", "cpu.max").partition(" ")[0]
            assert quota_us == str(100 * limits.cpus_milli)
        else:
            assert in_force(started.pid, "cpu.cfs_quota_us", "cpu.max").partition(" ")[0] in {"-1", "max"}
            assert not counts_swap or is_none(in_force(started.pid, "memory.memsw.limit_in_bytes", "memory.swap.max"))
        if limits is none:
            assert in_force(started.pid, "pids.max") == "max"
            assert is_none(in_force(started.pid, "memory.limit_in_bytes", "memory.max"))
        else:
            assert in_force(started.pid, "memory.limit_in_bytes", "memory.max") == str(limits.memory_bytes)
    for limits, is_refused in ((less, False), (replace(less, cpus_milli=110, pids_count=-7), True)):
        subject.containerizer.resize(replace(config, limits=limits))
        resized = await subject.hear(events.Resized)
        assert isinstance(resized, events.Resized)
        assert (resized.error is not None) is is_refused
        assert in_force(started.pid, "cpu.cfs_quota_us", "cpu.max").partition(" ")[0] == "12000"
    subject.containerizer.kill(config.container_id, 9, 0)
    await subject.conclude(config, await subject.ended())


def is_none(limit: str) -> bool:
    """An engine takes memory's limit away only for one that no machine can meet."""
    return limit == "max" or int(limit) > BEYOND_ANY_MACHINE_BYTES


def in_force(pid: int, *names: str) -> str:
    """By whichever of these files there is, where it runs."""
    lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    places = {line.split(":", 2)[2] for line in lines}
    paths = (Path(f"{point}{place}/{name}") for point in cgroup_points() for place in places for name in names)
    # In a hierarchy where it has no cgroup of its own it is in the root's.
    innermost = max((path for path in paths if path.exists()), key=lambda path: len(str(path)))
    return innermost.read_text(encoding="ascii").strip()


async def test_a_kill_ends_it_and_may_come_twice(subject: Subject) -> None:
    config, started = await subject.started("/bin/sleep", "1000")
    pidfd = open_pidfd(started.pid)
    subject.containerizer.kill(config.container_id, 15, 5000)
    subject.containerizer.kill(config.container_id, 15, 0)
    ended = await subject.ended()
    assert ended.record is not None
    assert ended.record.kill is not None
    assert await asyncio.to_thread(has_ended, pidfd, int(TIMEOUT_S * 1000))
    os.close(pidfd)
    await subject.conclude(config, ended)


async def test_a_launch_that_fails_leaves_nothing(subject: Subject) -> None:
    config = subject.config("/no/such/program")
    subject.containerizer.prepare(config)
    await subject.hear(events.Prepared)
    subject.containerizer.launch(config.container_id)
    failed = await subject.hear(events.LaunchFailed)
    assert isinstance(failed, events.LaunchFailed)
    assert (failed.failure.stage, failed.failure.errno) == ("exec", errno.ENOENT)
    assert "/no/such/program" in failed.failure.message
    subject.containerizer.conclude(config, None, launched=True)
    await subject.hear(events.Concluded)
    subject.assert_gone(config)


async def test_a_preparation_that_is_refused_says_why(subject: Subject) -> None:
    config = replace(subject.config("/bin/true"), sandbox=f"{subject.directory}/launcher.log/x")
    subject.containerizer.prepare(config)
    refused = await subject.hear(events.PrepareRefused)
    assert isinstance(refused, events.PrepareRefused)
    assert refused.failure.stage == "sandbox"
    subject.containerizer.conclude(config, None, launched=False)
    await subject.hear(events.Concluded)


async def test_a_type_that_nobody_serves_is_refused_by_name(subject: Subject) -> None:
    if not isinstance(subject.containerizer, ComposingContainerizer):
        return  # the choice is the composing one's
    config = replace(
        subject.config("/bin/true"),
        container=ContainerInfo(type=ContainerType.DOCKER, docker=DockerInfo(image=parse_image("busybox"))),
    )
    subject.containerizer.prepare(config)
    refused = await subject.hear(events.PrepareRefused)
    assert isinstance(refused, events.PrepareRefused)
    assert "docker" in refused.failure.message


async def test_clean_up_of_the_unknown_is_no_error(subject: Subject) -> None:
    config = subject.config("/bin/true")
    for _ in range(2):
        subject.containerizer.conclude(config, None, launched=True)
        await subject.hear(events.Concluded)
        subject.containerizer.discard(config.container_id)


async def test_nobody_enters_what_does_not_run(subject: Subject) -> None:
    with pytest.raises(NotFound):
        await subject.containerizer.execute(ContainerId("nobody"), CommandInfo(arguments=("/bin/true",)), ROOT)


async def test_what_is_measured_comes_in_the_order_asked(subject: Subject) -> None:
    first, _ = await subject.started("/bin/sleep", "1000")
    second, _ = await subject.started("/bin/sh", "-c", "sleep 1000 & wait")
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            usage = await subject.containerizer.usage([second.container_id, first.container_id])
            if [each.pids_count for each in usage] == [2, 1]:
                break
    for config in (first, second):
        subject.containerizer.kill(config.container_id, 9, 0)
        await subject.conclude(config, await subject.ended())


async def test_a_launch_need_not_wait_for_long_statistics(subject: Subject) -> None:
    config, _ = await subject.started("/bin/sleep", "1000")
    measuring = asyncio.create_task(subject.containerizer.usage([config.container_id] * 2000))
    await asyncio.sleep(0)
    other = subject.config("/bin/true")
    subject.containerizer.prepare(other)
    await subject.hear(events.Prepared)
    assert not measuring.done()
    assert [each.pids_count for each in await measuring] == [1] * 2000
    subject.containerizer.conclude(other, None, launched=False)
    await subject.hear(events.Concluded)
    subject.containerizer.kill(config.container_id, 9, 0)
    await subject.conclude(config, await subject.ended())


async def test_another_one_finds_the_living_and_destroys_the_unknown(subject: Subject) -> None:
    known, started = await subject.started("/bin/sleep", "1000")
    unknown, orphan = await subject.started("/bin/sleep", "1000")
    await subject.containerizer.stop()
    subject.containerizer, thread = make(subject)
    await subject.containerizer.start()
    pidfd = open_pidfd(orphan.pid)
    view = Container(config=known, state=ContainerState.RUNNING, pid=started.pid)
    await subject.containerizer.recover([Restored(container=view, same_boot=True)])
    found = await subject.hear(events.Started)
    assert isinstance(found, events.Started)
    assert (found.pid, found.shim_pid, found.started_ns) == (started.pid, started.shim_pid, started.started_ns)
    assert await asyncio.to_thread(has_ended, pidfd, int(TIMEOUT_S * 1000))
    os.close(pidfd)
    subject.containerizer.kill(known.container_id, 9, 0)
    await subject.conclude(known, await subject.ended())
    async with asyncio.timeout(TIMEOUT_S):
        while subject.cgroups(unknown):
            await asyncio.sleep(0.01)
    await subject.containerizer.stop()
    thread.close()


@pytest.mark.parametrize("subject", [pytest.param("docker", marks=pytest.mark.no_cgroups)], indirect=True)
async def test_what_this_agent_runs_no_more_is_killed_and_never_entered(subject: Subject) -> None:
    """Its stand-in is on the host: so would be what was executed, and the engine's limits would be lower than what was told."""
    known, started = await subject.started("/bin/sleep", "1000")
    await subject.containerizer.stop()
    engine, subject.engine = subject.engine, None
    subject.containerizer, thread = make(subject)
    await subject.containerizer.start()
    view = Container(config=known, state=ContainerState.RUNNING, pid=started.pid)
    await subject.containerizer.recover([Restored(container=view, same_boot=True)])
    await subject.hear(events.Started)
    with pytest.raises(Unavailable, match="--containerizers=docker"):
        await subject.containerizer.execute(known.container_id, CommandInfo(arguments=("/bin/true",)), ROOT)
    subject.containerizer.resize(replace(known, limits=ResourceLimits(pids_count=17)))
    resized = await subject.hear(events.Resized)
    assert isinstance(resized, events.Resized)
    assert isinstance(resized.error, Unavailable)
    with pytest.raises(Unavailable):
        await subject.containerizer.check_resize(known)
    subject.containerizer.kill(known.container_id, 9, 0)
    ended = await subject.ended()
    subject.containerizer.conclude(known, ended.record, launched=True)
    await subject.hear(events.Concluded)
    subject.containerizer.discard(known.container_id)
    await subject.containerizer.stop()
    thread.close()
    subject.engine = engine
    subject.containerizer, thread = make(subject)
    await subject.containerizer.start()
    await subject.containerizer.recover(())
    async with asyncio.timeout(TIMEOUT_S):
        while subject.engines_part(known) or subject.cgroups(known) or os.listdir(f"{subject.directory}/docker"):
            await asyncio.sleep(0.01)
    await subject.containerizer.stop()
    thread.close()


async def test_a_launch_that_its_agent_did_not_see_through_goes_on_with_the_next(subject: Subject) -> None:
    config = subject.config("/bin/sleep", "1000")
    subject.containerizer.prepare(config)
    await subject.hear(events.Prepared)
    if subject.engine is not None:
        subject.engine.pause()  # it has created nothing by then
    try:
        subject.containerizer.launch(config.container_id)
        async with asyncio.timeout(TIMEOUT_S):
            while not os.path.exists(f"{subject.directory}/run/{config.container_id}.sock"):
                await asyncio.sleep(0.01)  # its shim is there
        await subject.containerizer.stop()
    finally:
        if subject.engine is not None:
            subject.engine.resume()
    while not subject.said.empty():
        subject.said.get_nowait()
    subject.containerizer, thread = make(subject)
    await subject.containerizer.start()
    view = Container(config=config, state=ContainerState.LAUNCHING)
    await subject.containerizer.recover([Restored(container=view, same_boot=True)])
    started = await subject.hear(events.Started, events.LaunchFailed, events.Ended)
    assert isinstance(started, events.Started), started
    async with asyncio.timeout(TIMEOUT_S):
        while name_of(started.pid) != "sleep":
            await asyncio.sleep(0.01)  # a runtime has become the command soon after its start
    subject.containerizer.kill(config.container_id, 9, 0)
    await subject.conclude(config, await subject.ended())
    await subject.containerizer.stop()
    thread.close()


@pytest.mark.parametrize("subject", ["native"], indirect=True)
async def test_a_native_one_of_an_agent_that_runs_docker_only_is_entered_and_resized_as_before(
    subject: Subject,
) -> None:
    known, started = await subject.started("/bin/sleep", "1000")
    await subject.containerizer.stop()
    subject.containerizer, thread = make(subject, (ContainerType.DOCKER,))
    await subject.containerizer.start()
    view = Container(config=known, state=ContainerState.RUNNING, pid=started.pid)
    await subject.containerizer.recover([Restored(container=view, same_boot=True)])
    await subject.hear(events.Started)
    session = await subject.containerizer.execute(known.container_id, CommandInfo(arguments=("/bin/true",)), ROOT)
    assert await session.wait() == 0
    for fd in (session.stdin_fd, session.stdout_fd, session.stderr_fd):
        os.close(fd)
    resized = replace(known, limits=ResourceLimits(pids_count=17))
    await subject.containerizer.check_resize(resized)
    subject.containerizer.resize(resized)
    told = await subject.hear(events.Resized)
    assert isinstance(told, events.Resized)
    assert told.error is None
    assert in_force(started.pid, "pids.max") == "17"
    subject.containerizer.kill(known.container_id, 9, 0)
    await subject.conclude(known, await subject.ended())
    await subject.containerizer.stop()
    thread.close()


@pytest.mark.parametrize("subject", [pytest.param("docker", marks=pytest.mark.no_cgroups)], indirect=True)
async def test_what_the_engine_has_left_out_is_told_by_another_one_too(subject: Subject) -> None:
    """Since Linux 5.0 cgroup v1 has no file for this."""
    plain = subject.config("/bin/sleep", "1000")
    docker = plain.container.docker
    assert docker is not None
    odd = replace(plain.container, docker=replace(docker, parameters=(("blkio-weight", "500"),)))
    config = replace(plain, container=odd)
    subject.containerizer.prepare(config)
    await subject.hear(events.Prepared)
    subject.containerizer.launch(config.container_id)
    started = await subject.hear(events.Started)
    assert isinstance(started, events.Started)
    assert any("Block I/O weight" in words for words in started.unapplied)
    await subject.containerizer.stop()
    subject.containerizer, thread = make(subject)
    await subject.containerizer.start()
    view = Container(config=config, state=ContainerState.RUNNING, pid=started.pid)
    await subject.containerizer.recover([Restored(container=view, same_boot=True)])
    again = await subject.hear(events.Started)
    assert isinstance(again, events.Started)
    assert again.unapplied == started.unapplied
    subject.containerizer.kill(config.container_id, 9, 0)
    await subject.conclude(config, await subject.ended())
    await subject.containerizer.stop()
    thread.close()
