"""After a launch's list has failed: what it has made until then, and which step it was, read from the plan again."""

from __future__ import annotations

import errno
import os

from paddock.kernel.call_list import INSTRUCTION_BYTES, result_in
from paddock.kernel.errors import KernelError
from paddock.launch import protocol, record
from paddock.launch.launch_list import OUTCOME, USED_BEFORE, LaunchList
from paddock.launch.logs import LogPump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from paddock.launch.container import Container
    from paddock.launch.plan_file import PlanFile


def explain(sealed: PlanFile, results: bytes) -> dict[str, object]:
    """The child's step that failed, in the wire's form."""
    return LaunchList(sealed.read_plan()).explain(results)


def try_again(container: Container, sealed: PlanFile, code: int, carry_out: Callable[[], int]) -> int:
    """Once more, where a cgroup above the container's own was missing, or handed no controllers down. Raises KernelError."""
    if code == USED_BEFORE:
        return code
    plan = sealed.read_plan()
    made = LaunchList(plan)
    failed = result_in(sealed.memory, made.failure) // INSTRUCTION_BYTES
    if made.named.names[failed][0] != "cgroup" or -result_in(sealed.memory, failed) != errno.ENOENT:
        return code
    assert container.cgroup is not None
    container.cgroup.made = _directories(made, failed)
    for failure in container.cgroup.remove():
        raise failure
    container.cgroup.prepare_parents(write.controller for write in plan.writes if write.controller)
    sealed.restore()
    return carry_out()


def take_over(container: Container, sealed: PlanFile, code: int) -> dict[str, object]:
    """What the list has made is the container's, to be undone with it; returns the failed step in the wire's form."""
    made = LaunchList(sealed.read_plan())
    assert container.cgroup is not None
    outcome = OUTCOME.unpack_from(sealed.memory, sealed.outcome_at)
    if code == USED_BEFORE:
        container.cgroup.made = [path for path, _step in made.directories]
        report = protocol.error_from(KernelError("open", container.plan.record, "", errno.EEXIST)).to_json()
        report["stage"] = "record"
        return report
    failed = result_in(sealed.memory, made.failure) // INSTRUCTION_BYTES
    container.cgroup.made = _directories(made, failed)
    container.logs = [LogPump(outcome[5], max(outcome[3], -1)), LogPump(outcome[7], max(outcome[4], -1))]
    if failed > made.allocated:
        container.record_file = record.RecordFile(container.plan.record, outcome[2])
    elif outcome[2] >= 0:
        # Without its space it could not be finished on a full disk.
        os.unlink(record.temporary_path(container.plan.record))
        os.close(outcome[2])
    return made.named.failure_at(failed, -result_in(sealed.memory, failed))


def _directories(made: LaunchList, failed: int) -> list[str]:
    return [path for path, step in made.directories if step < failed]
