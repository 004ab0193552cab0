"""The example, as a process, against a scripted master. The cluster tests run it against real daemons."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from paddock.wire.v1 import scheduler_service_pb2 as pb
from paddock.wire.v1 import tasks_pb2
from tests.unit.scheduler.scripted_master import ScriptedMaster, mastered, offer, offers, update

ROOT = Path(__file__).resolve().parents[3]


async def test_the_example_has_forty_lines_and_runs_what_it_is_given(tmp_path: Path) -> None:
    assert len((ROOT / "examples/forty_lines.py").read_text().splitlines()) <= 40
    master = ScriptedMaster()
    async with mastered(tmp_path / "m", master) as address:
        words = ("-m", "examples.forty_lines", address, "true", "exit 3", "sleep 1")
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        # Room for two of the three: the third waits for the next offer.
        await master.say.put(offers(offer("o1", cpus_milli=200), offer("o2", cpus_milli=50)))
        first, second = await master.until(pb.AcceptRequest, 2)
        assert isinstance(first, pb.AcceptRequest)
        assert isinstance(second, pb.AcceptRequest)
        assert [task.command.value for task in first.operations[0].launch.tasks] == ["true", "exit 3"]
        assert not second.operations
        await master.say.put(offers(offer("o3")))
        third = (await master.until(pb.AcceptRequest, 3))[2]
        assert isinstance(third, pb.AcceptRequest)
        assert [task.task_id for task in third.operations[0].launch.tasks] == ["line-3"]
        for number, state in ((1, tasks_pb2.TASK_FINISHED), (2, tasks_pb2.TASK_FAILED), (3, tasks_pb2.TASK_FINISHED)):
            await master.say.put(update(f"line-{number}", state, bytes([number]) * 16))
        printed, complained = await asyncio.wait_for(process.communicate(), 60)
        assert [line.split()[:2] for line in printed.decode().splitlines()] == [
            ["line-1", "FINISHED"],
            ["line-2", "FAILED"],
            ["line-3", "FINISHED"],
        ]
        assert process.returncode == 1, complained
        assert len(await master.until(pb.AcknowledgeRequest, 3)) == 3
        await master.until(pb.TeardownRequest)
