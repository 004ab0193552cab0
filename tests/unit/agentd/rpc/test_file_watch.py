"""However many follow files, the kernel is asked for one inotify instance: root has 128 for all its daemons."""

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path

from agentd.rpc.file_watch import FileWatches
from tests.descriptors import descriptors_of


def instances() -> int:
    return list(descriptors_of(os.getpid()).values()).count("anon_inode:inotify")


async def test_many_files_are_one_instance_and_none_is_left(tmp_path: Path) -> None:
    before = instances()
    watches = FileWatches()
    with ExitStack() as stack:
        for number in range(40):
            (tmp_path / str(number)).touch()
            fd = os.open(tmp_path / str(number), os.O_RDONLY)
            stack.callback(os.close, fd)
            stack.enter_context(watches.of(fd))
        assert instances() == before + 1
    assert instances() == before


async def test_all_who_watch_the_file_are_told_and_nobody_else(tmp_path: Path) -> None:
    watches = FileWatches()
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    with (
        (tmp_path / "a").open("ab", buffering=0) as a,
        (tmp_path / "b").open("rb") as b,
        watches.of(a.fileno()) as first,
        watches.of(b.fileno()) as other,
    ):
        with watches.of(a.fileno()) as second:
            a.write(b"1")
            await asyncio.wait_for(asyncio.gather(first.changed(), second.changed()), 60)
        first.reset()
        a.write(b"2")
        await asyncio.wait_for(first.changed(), 60)
        unchanged = asyncio.ensure_future(other.changed())
        await asyncio.sleep(0.05)
        assert not unchanged.done()
        other.wake()
        await asyncio.wait_for(unchanged, 60)
