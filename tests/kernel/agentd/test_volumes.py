"""Persistent volumes of a real agent: real tasks write to them, agents die, and what is on them goes by DESTROY only."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from paddock.wire.v1 import agent_registry_service_pb2 as pb
from paddock.wire.v1 import resources_pb2, tasks_pb2
from tests.agentd_process import AgentdProcess, running_agentd
from tests.kernel.agentd.scripted_master import TIMEOUT_S, Connection, ScriptedMaster, scripted_master

pytestmark = pytest.mark.no_cgroups

NOBODY = 65534
_NUMBERS = itertools.count(1)
MIB = 2**20


def volume(
    name: str = "v1", *, path: str = "store", mib: int = 8, shared: bool = False, read_only: bool = False
) -> resources_pb2.Resource:
    return resources_pb2.Resource(
        name="disk",
        scalar_milli=mib * 1000,
        reservations=[resources_pb2.Reservation(role="r", dynamic=True, principal="uid:0")],
        volume=resources_pb2.DiskVolume(persistence_id=name, container_path=path, read_only=read_only),
        shared=shared,
    )


def told(*volumes: resources_pb2.Resource, destroyed: str = "") -> pb.AgentVolumes:
    """All volumes, and with `destroyed` the DESTROY of v1 under that id."""
    key = resources_pb2.VolumeKey(role="r", persistence_id="v1")
    gone = [pb.DestroyedVolume(destroy_id=destroyed, volume=key)] if destroyed else []
    return pb.AgentVolumes(volumes=volumes, destroyed=gone)


class Stage:
    """One agent with its master. Each task ends before the next step, unless it is told to go on."""

    def __init__(self, agentd: AgentdProcess, master: ScriptedMaster) -> None:
        self.agentd = agentd
        self.master = master
        self.connection: Connection

    @property
    def root(self) -> Path:
        return self.agentd.directory / "work" / "agents" / self.agentd.agent_id

    def directory(self, name: str = "v1") -> Path:
        return self.root / "volumes" / "roles" / "r" / name

    async def begin(self, volumes: pb.AgentVolumes | None) -> pb.VolumesFound | None:
        self.connection, _ = await self.master.connected(volumes=volumes)
        return (await self.connection.next("volumes_found")).volumes_found if volumes else None

    def launch(self, line: str, *volumes: resources_pb2.Resource, uid: int = 0, disk_mib: int = 4) -> str:
        task_id = f"t{next(_NUMBERS)}"
        plain = [("cpus", 100), ("mem", 64_000), ("disk", disk_mib * 1000)]
        user = "nobody" if uid == NOBODY else "root"
        self.connection.launch(
            tasks_pb2.TaskInfo(
                task_id=task_id,
                name=task_id,
                agent_id=self.agentd.agent_id,
                resources=[
                    *(resources_pb2.Resource(name=name, scalar_milli=milli) for name, milli in plain),
                    *volumes,
                ],
                command=tasks_pb2.CommandInfo(shell=True, value=line, user=user),
            )
        )
        return task_id

    async def status(self, task_id: str, *states: tasks_pb2.TaskState.ValueType) -> tasks_pb2.TaskStatus:
        """The next of these states; every status of anybody is acknowledged."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                message = await self.connection.received.get()
                refused = message.launch_refused
                assert task_id not in refused.task_ids, refused.message
                if not message.HasField("update_status"):
                    continue
                update = message.update_status
                self.connection.acknowledge(update)
                if update.status.task_id == task_id and update.status.state in states:
                    return update.status

    async def run(self, line: str, *volumes: resources_pb2.Resource, uid: int = 0) -> tasks_pb2.TaskStatus:
        """To its end."""
        ends = (tasks_pb2.TASK_FINISHED, tasks_pb2.TASK_FAILED, tasks_pb2.TASK_KILLED)
        return await self.status(self.launch(line, *volumes, uid=uid), *ends)

    async def succeeds(self, line: str, *volumes: resources_pb2.Resource, uid: int = 0) -> None:
        status = await self.run(line, *volumes, uid=uid)
        assert status.state == tasks_pb2.TASK_FINISHED, (status, self.agentd.last_words())


@asynccontextmanager
async def stage(agentd: AgentdProcess, path: Path) -> AsyncIterator[Stage]:
    async with scripted_master(path) as master:
        yield Stage(agentd, master)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AgentdProcess, Path]]:
    path = tmp_path_factory.mktemp("master") / "master.sock"
    arguments = (f"--master=unix:{path}", "--container-disk-watch-interval=100ms", "--disk-watch-interval=50ms")
    with running_agentd(*arguments, "--gc-disk-headroom=1") as agentd:
        yield agentd, path


async def test_what_a_task_wrote_the_next_one_reads_over_a_kill_of_the_agent(
    standing: tuple[AgentdProcess, Path],
) -> None:
    agentd, path = standing
    async with stage(agentd, path) as on:
        assert await on.begin(told(volume())) == pb.VolumesFound()
        await on.succeeds('test "$(pwd -P)" = "$PADDOCK_SANDBOX" && echo kept > store/a', volume(), uid=NOBODY)
        assert (on.directory().stat().st_uid, (on.directory() / "a").read_text()) == (NOBODY, "kept\n")
        # Killed while a task has it: neither loses it.
        writing = on.launch("echo up > store/up; while [ ! -e go ]; do sleep 0.02; done; echo b > store/b", volume())
        running = await on.status(writing, tasks_pb2.TASK_RUNNING)
        agentd.crash()
        (on.root / f"frameworks/f1/tasks/{writing}/runs/{running.container_id}/go").touch()
        assert not agentd.wait_for_no_cgroups()
        agentd.start()
        assert await on.begin(told(volume())) == pb.VolumesFound()
        await on.status(writing, tasks_pb2.TASK_FINISHED)
        await on.succeeds("cat store/a store/up store/b", volume())
        # The sandboxes have gone meanwhile, or go now: a link in them leads nobody to the volume.
        assert sorted(os.listdir(on.directory())) == ["a", "b", "up"]


async def test_a_destroy_is_carried_out_once_and_the_next_of_its_name_is_empty(
    standing: tuple[AgentdProcess, Path], tmp_path: Path
) -> None:
    agentd, path = standing
    precious = tmp_path / "precious"
    precious.touch()
    async with stage(agentd, path) as on:
        await on.begin(told(volume(), volume("other", path="other")))
        await on.succeeds(
            f"mkdir -p store/deep/er; ln -s {precious} {tmp_path} store/deep/; echo x > other/x",
            volume(),
            volume("other", path="other"),
        )
        inode = on.directory().stat().st_ino
        held = os.open(on.directory(), os.O_RDONLY)  # or the next directory might get its number
        agentd.crash()
        agentd.start()
        # Destroyed and made anew while the agent was away.
        await on.begin(told(volume(), volume("other"), destroyed="1-1-1"))
        removed = await on.connection.next("volumes_removed")
        assert list(removed.volumes_removed.destroy_ids) == ["1-1-1"]
        await on.connection.next("volumes_found")
        assert os.listdir(on.directory()) == []
        assert on.directory().stat().st_ino != inode
        os.close(held)
        await on.succeeds("echo new > store/new", volume())
        # The master crashed before it could save that it was told, and says it again.
        agentd.crash()
        agentd.start()
        await on.begin(told(volume(), volume("other"), destroyed="1-1-1"))
        assert os.listdir(on.directory()) == ["new"]
        await on.succeeds("cat store/new", volume())
        on.connection.send(volumes=told(volume("other"), destroyed="1-2-2"))
        removed = await on.connection.next("volumes_removed")
        assert "1-2-2" in removed.volumes_removed.destroy_ids
        assert not on.directory().exists()
        assert (on.directory("other") / "x").read_text() == "x\n"
        async with asyncio.timeout(TIMEOUT_S):
            while os.listdir(on.root / ".removed"):
                await asyncio.sleep(0.02)
        assert precious.exists()
        on.connection.send(volumes=told())
        await on.connection.heard()


async def test_a_master_that_knows_nothing_costs_nothing_and_what_is_missing_is_said(
    standing: tuple[AgentdProcess, Path],
) -> None:
    agentd, path = standing
    async with stage(agentd, path) as on:
        await on.begin(told(volume("kept"), volume("lost", path="l")))
        await on.succeeds("echo 1 > store/one", volume("kept"))
        agentd.crash()
        on.directory("lost").rmdir()
        agentd.start()
        found = await on.begin(told(volume("lost", path="l")))
        assert found is not None
        assert [(each.volume.persistence_id, "is not there" in each.problem) for each in found.troubled] == [
            ("lost", True)
        ]
        assert "kept" in [each.persistence_id for each in found.unknown]
        assert "volume is not known to the master; it stays" in agentd.log
        assert not on.directory("lost").exists()
        on.launch("true", volume("lost", path="l"))
        refused = (await on.connection.next("launch_refused")).launch_refused
        assert "volume lost of role r: its directory" in refused.message
        on.connection.send(volumes=told(volume("kept"), volume("lost", path="l")))
        await on.succeeds("cat store/one", volume("kept"))
        on.directory("lost").mkdir()  # put back: the next launch has the agent look again
        on.launch("true", volume("lost", path="l"))
        while (await on.connection.next("volumes_found")).volumes_found.troubled:
            pass
        await on.succeeds("echo 2 > l/two", volume("lost", path="l"))
        on.connection.send(volumes=told())
        await on.connection.heard()


async def test_shared_by_two_at_once_and_read_only_for_one(standing: tuple[AgentdProcess, Path]) -> None:
    agentd, path = standing
    writer, reader = volume("s", shared=True), volume("ro", path="data", read_only=True)
    async with stage(agentd, path) as on:
        await on.begin(told(writer, reader))
        (on.directory("ro") / "given").write_text("by an operator")
        line = "touch store/{0}; while [ ! -e store/{1} ]; do sleep 0.02; done"
        two = [on.launch(line.format(*names), writer) for names in (("a", "b"), ("b", "a"))]
        ended: set[str] = set()
        async with asyncio.timeout(TIMEOUT_S):
            while ended != set(two):
                update = await on.connection.status()
                on.connection.acknowledge(update)
                assert update.status.state in {tasks_pb2.TASK_RUNNING, tasks_pb2.TASK_FINISHED}, update
                ended |= {update.status.task_id} if update.status.state == tasks_pb2.TASK_FINISHED else set()
        # Root itself cannot write, neither by the link nor by the directory's own name.
        own = on.directory("ro")
        await on.succeeds(
            f"cat data/given && ! touch data/x && ! touch {own}/x && ! rm data/given && test -d data", reader
        )
        assert os.listdir(own) == ["given"]
        assert str(own) not in Path("/proc/self/mounts").read_text("utf-8")
        on.connection.send(volumes=told())
        await on.connection.heard()


async def test_a_volume_has_its_own_size_and_the_sandbox_does_not_pay_for_it(
    standing: tuple[AgentdProcess, Path],
) -> None:
    agentd, path = standing
    async with stage(agentd, path) as on:
        large, small = volume("large", mib=16), volume("small", mib=2, path="s")
        await on.begin(told(large, small))
        line = "head -c 8388608 /dev/zero > store/x; head -c 4194304 /dev/zero > s/x; exec sleep 1000"
        status = await on.run(line, large, small)
        assert (status.state, status.reason) == (tasks_pb2.TASK_FAILED, tasks_pb2.REASON_CONTAINER_LIMITATION_DISK)
        assert (status.evidence.disk.volume, status.evidence.disk.limit_bytes) == ("small", 2 * MIB)
        assert "volume small holds" in status.message
        # Full as it is, it ends nobody who cannot write to it.
        # On a slow machine it is counted before all is written.
        assert MIB < (on.directory("small") / "x").stat().st_size <= 4 * MIB
        on.connection.send(volumes=told())
        await on.connection.heard()


async def test_a_link_that_a_task_has_planted_gives_it_nothing(standing: tuple[AgentdProcess, Path]) -> None:
    agentd, path = standing
    async with stage(agentd, path) as on:
        await on.begin(told(volume("p")))
        # In place of what is in the volume, and of the volume's place in the sandbox: both are followed as nobody only.
        line = "rm store; ln -s /root store; ! touch store/x; cd -P $OLDPWD . 2>/dev/null; ln -s /etc/shadow {0}/shadow"
        await on.run(line.format(on.directory("p")), volume("p"), uid=NOBODY)
        assert os.readlink(on.directory("p") / "shadow") == "/etc/shadow"
        await on.succeeds(
            "! cat store/shadow && ! mv store/../p store/../q && ! rmdir $(readlink store)", volume("p"), uid=NOBODY
        )
        assert on.directory("p").is_dir()
        assert not Path("/root/x").exists()
        on.connection.send(volumes=told())
        await on.connection.heard()
