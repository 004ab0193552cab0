"""A `paddock run` whose framework was ended without it: while it was out of reach, or by an operator. Its task has an end all
the same, which the master knows. And one that ends because its launch had no answer.
"""

from __future__ import annotations

import sys

from paddock.cli.wait import ended
from paddock.model.errors import InvalidRequest, PaddockError, Unavailable
from paddock.model.ids import FrameworkId, TaskId
from paddock.model.task import TaskStatus
from paddock.rpc.clients.master import connect_master
from paddock.scheduler import FrameworkRefused


def is_parting(error: PaddockError) -> bool:
    """Whether a master that knew this framework says so."""
    return isinstance(error, FrameworkRefused) or (
        isinstance(error, InvalidRequest) and error.field == "framework.framework_id"
    )


def unlaunched(error: PaddockError) -> Unavailable:
    """Nothing is lost but time."""
    return Unavailable(f"the master has ended this run before anything was launched ({error}); run it again")


def unanswered(error: Unavailable) -> Unavailable:
    """A launch. It may be done all the same, be it later; but nothing of this run outlives it."""
    return Unavailable(f"{error}; this run ends, and its task with it should it be launched all the same")


async def end_of_task(masters: tuple[str, ...], framework_id: FrameworkId, task_id: TaskId) -> TaskStatus:
    """Its last status, once there is one. Raises Unavailable when the launch never reached the master."""
    words = "the master has ended this run, which was out of reach or torn down; its task is ended with it"
    print(f"paddock run: {words}", file=sys.stderr)
    async with connect_master(masters) as master:
        tasks = await master.list_tasks(framework_id=framework_id, include_terminated=True)
        task = next((each for each in tasks if each.task.task_id == task_id), None)
        if task is None:
            raise Unavailable("the master never had the task; run it again")
        return await ended(master, task)
