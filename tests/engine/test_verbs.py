"""Every verb of our client on the real engine, and what each says when the engine says no."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentd.docker.answers import EngineContainer, EngineContainerState
from agentd.docker.engine import ExecOrder
from agentd.docker.failures import ContainerNotRunning, EngineFailure, PortInUse
from agentd.docker.parameters import Body
from paddock.model.errors import AlreadyExists, InvalidRequest, NotFound
from paddock.model.image import parse_image
from testbed.engine import images
from testbed.engine.engine import Engine
from tests.engine.asking import Asker, asking, until

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]

LABELS = {"paddock.agent-id": "a-test"}
SLEEPER: Body = {"Image": images.BUSYBOX, "Cmd": ["sleep", "1000"], "Labels": dict(LABELS), "StopSignal": "9"}


@pytest.fixture
async def asker(engine: Engine) -> AsyncIterator[Asker]:
    """Afterwards none of the test's containers is left."""
    async with asking(engine.socket) as found:
        yield found
        for container in await found.engine.list_containers(LABELS):
            await found.engine.remove(container.engine_id)
        assert await found.engine.list_containers(LABELS) == ()


async def running(asker: Asker, name: str = "paddock-a-c", **host: str) -> str:
    engine_id, _ = await asker.engine.create(name, {**SLEEPER, "HostConfig": dict(host)})
    await asker.start(engine_id)
    return engine_id


async def ended(asker: Asker, container: str) -> EngineContainer:
    """The engine tells it a moment after the process has gone."""
    while (found := await asker.engine.inspect(container)).state is EngineContainerState.RUNNING:
        await asyncio.sleep(0.02)
    return found


async def test_what_is_known_of_the_engine(asker: Asker, engine: Engine) -> None:
    facts = asker.calls.state.facts
    assert facts is not None
    assert facts.api_version == asker.calls.api_version
    assert facts.cgroup_driver == "cgroupfs"
    assert facts.cgroup_version in {"1", "2"}
    assert facts.storage_driver == "overlay2"
    assert facts.data_root == str(engine.directory / "root")
    assert not facts.live_restore
    assert asker.calls.state.words.startswith(f"docker engine {facts.version} answers since 20")
    assert [state.reachable for state in asker.states] == [True]


async def test_a_container_s_life(asker: Asker) -> None:
    engine = asker.engine
    engine_id, warnings = await engine.create("paddock-a-c", {**SLEEPER, "HostConfig": {"CpuShares": 512}})
    assert warnings == ()
    created = await engine.inspect("paddock-a-c")
    assert (created.engine_id, created.name, created.state) == (
        engine_id,
        "paddock-a-c",
        EngineContainerState.CREATED,
    )
    assert (created.pid, created.started_at, dict(created.labels)) == (0, "", LABELS)
    assert not await asker.kill(engine_id, signal.SIGKILL), "it was not started"
    await asker.start(engine_id)
    await asker.start(engine_id)
    started = await engine.inspect(engine_id)
    assert started.state is EngineContainerState.RUNNING
    assert b"sleep\x001000" in Path(f"/proc/{started.pid}/cmdline").read_bytes()
    assert os.path.isdir(started.writable_layer)
    (listed,) = await engine.list_containers(LABELS)
    assert (listed.engine_id, listed.name, listed.state) == (engine_id, "paddock-a-c", EngineContainerState.RUNNING)
    assert await engine.list_containers({**LABELS, "other": "x"}) == ()
    assert await asker.kill(engine_id, signal.SIGKILL)
    await until(lambda: not os.path.exists(f"/proc/{started.pid}"))
    last = await ended(asker, engine_id)
    assert (last.state, last.exit_code, last.pid) == (EngineContainerState.EXITED, 128 + signal.SIGKILL, 0)
    assert last.finished_at > last.started_at
    assert not await asker.kill(engine_id, signal.SIGKILL), "it has ended"
    assert await engine.remove(engine_id)
    assert not await engine.remove(engine_id), "it is gone already"
    with pytest.raises(NotFound, match="container 'paddock-a-c' does not exist"):
        await engine.inspect("paddock-a-c")


async def test_a_running_container_is_removed_too(asker: Asker) -> None:
    engine_id = await running(asker)
    pid = (await asker.engine.inspect(engine_id)).pid
    assert await asker.engine.remove(engine_id)
    await until(lambda: not os.path.exists(f"/proc/{pid}"))


async def test_limits_change_while_it_runs(asker: Asker) -> None:
    engine_id = await running(asker)
    pid = (await asker.engine.inspect(engine_id)).pid
    await asker.engine.update(engine_id, {"Memory": 64 << 20, "MemorySwap": 64 << 20, "PidsLimit": 20, "CpuShares": 99})
    cgroups = dict(line.split(":")[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    if "pids" in cgroups:
        assert Path(f"/sys/fs/cgroup/pids{cgroups['pids']}/pids.max").read_text() == "20\n"
        assert Path(f"/sys/fs/cgroup/memory{cgroups['memory']}/memory.limit_in_bytes").read_text() == f"{64 << 20}\n"
    else:
        assert Path(f"/sys/fs/cgroup{cgroups['']}/pids.max").read_text() == "20\n"
    with pytest.raises(InvalidRequest, match="change the limits of container"):
        await asker.engine.update(engine_id, {"Memory": 1})


async def test_an_exec_is_made_and_looked_at(asker: Asker) -> None:
    engine_id = await running(asker)
    exec_id = await asker.engine.create_exec(engine_id, ExecOrder(arguments=("true",), user="guest"))
    found = await asker.engine.inspect_exec(exec_id)
    assert (found.running, found.pid, found.exit_code) == (False, 0, None)
    await asker.kill(engine_id, signal.SIGKILL)
    await ended(asker, engine_id)
    with pytest.raises(ContainerNotRunning, match="it has ended, or was not started"):
        await asker.engine.create_exec(engine_id, ExecOrder(arguments=("true",)))
    with pytest.raises(NotFound, match="exec 'nope' does not exist"):
        await asker.engine.inspect_exec("nope")


async def test_an_image_is_told_as_it_was_built(asker: Asker) -> None:
    odd = await asker.engine.inspect_image(parse_image(images.ODD))
    assert odd.entrypoint == ("/bin/odd entry", "first word")
    assert odd.command == ("default command",)
    assert odd.environment == ("COLOUR=light blue", "PATH=/odd:/bin", "EMPTY=")
    assert (odd.user, odd.working_directory, odd.tags) == ("guest", "/a place", (images.ODD,))
    plain = await asker.engine.inspect_image(parse_image(images.BUSYBOX))
    assert (plain.entrypoint, plain.command, plain.user) == (None, None, "")
    with pytest.raises(NotFound, match=r"image 'docker.io/library/nope:latest' does not exist"):
        await asker.engine.inspect_image(parse_image("nope"))


async def test_names_that_are_not_there_are_named(asker: Asker) -> None:
    nobody = "container 'paddock-a-nobody' does not exist"
    for asked in (
        asker.start("paddock-a-nobody"),
        asker.kill("paddock-a-nobody", 9),
        asker.engine.update("paddock-a-nobody", {"CpuShares": 99}),
        asker.engine.create_exec("paddock-a-nobody", ExecOrder(arguments=("true",))),
    ):
        with pytest.raises(NotFound, match=nobody):
            await asked
    with pytest.raises(NotFound, match="image 'nope:1' does not exist"):
        await asker.engine.create("paddock-a-c", {**SLEEPER, "Image": "nope:1"})
    engine_id, _ = await asker.engine.create("paddock-a-c", {**SLEEPER, "HostConfig": {"NetworkMode": "none-such"}})
    with pytest.raises(NotFound, match="network 'none-such' does not exist"):
        await asker.start(engine_id)


async def test_a_name_that_somebody_else_has_is_told_with_whose_it_is(asker: Asker) -> None:
    foreign, _ = await asker.engine.create("paddock-a-c", SLEEPER)
    with pytest.raises(AlreadyExists) as refused:
        await asker.engine.create("paddock-a-c", SLEEPER)
    assert "container 'paddock-a-c' already exists" in str(refused.value)
    assert foreign[:12] in refused.value.remedy


async def test_a_port_in_use_is_told(asker: Asker) -> None:
    ports: Body = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8090"}]}}
    for name in ("paddock-a-first", "paddock-a-second"):
        await asker.engine.create(name, {**SLEEPER, "ExposedPorts": {"80/tcp": {}}, "HostConfig": ports})
    await asker.start("paddock-a-first")
    with pytest.raises(PortInUse) as refused:
        await asker.start("paddock-a-second")
    assert "8090" in str(refused.value)
    assert "give the task another one" in str(refused.value)


async def test_what_cannot_be_started_is_told_in_the_engine_s_words(asker: Asker) -> None:
    with pytest.raises(InvalidRequest, match="Invalid container name"):
        await asker.engine.create("bad name", SLEEPER)
    mount: Body = {"Mounts": [{"Type": "bind", "Source": "/nowhere/at all", "Target": "/x"}]}
    with pytest.raises(InvalidRequest, match="bind source path does not exist: /nowhere/at all"):
        await asker.engine.create("paddock-a-c", {**SLEEPER, "HostConfig": mount})
    await asker.engine.create("paddock-a-c", {**SLEEPER, "Cmd": ["no-such-program"]})
    with pytest.raises(InvalidRequest, match="executable file not found"):
        await asker.start("paddock-a-c")
    engine_id = await running(asker, "paddock-a-d")
    with pytest.raises(EngineFailure, match="does not support signal 99"):
        await asker.kill(engine_id, 99)


async def test_many_at_once_all_get_their_answer(asker: Asker) -> None:
    engine_id = await running(asker)
    found = await asyncio.gather(*(asker.engine.inspect(engine_id) for _ in range(200)))
    assert {each.engine_id for each in found} == {engine_id}
    assert [state.reachable for state in asker.states] == [True]
