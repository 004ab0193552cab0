"""Rows 3 and 4: a task that outgrows its memory, and one whose child does."""

from __future__ import annotations

from examples.demonstration.row import Row, Seen, judge
from examples.demonstration.session import Session, Wish
from paddock.model.task import MemoryEvidence, Reason, TaskState, TaskStatus

MIB = 1 << 20
LIMIT_MIB = 64
_ALLOCATE = "python3 -c 'x = b\"x\" * (256 << 20)'"


async def act_main(session: Session) -> Seen:
    """The command itself is the victim."""
    task = await session.launch(Wish(name="allocates", shell=f"exec {_ALLOCATE}", cpus_milli=100, mem_mib=LIMIT_MIB))
    status = await task.ended()
    memory = _memory(status)
    victims = memory.victims or ()
    holds, failed = judge(
        {
            "TASK_FAILED": status.state is TaskState.FAILED,
            "the memory reason": status.reason == Reason.CONTAINER_LIMITATION_MEMORY,
            "limit 64 MiB": memory.limit_bytes == LIMIT_MIB * MIB,
            "peak near the limit": memory.peak_bytes is not None and 60 * MIB <= memory.peak_bytes <= LIMIT_MIB * MIB,
            "the victim is the command": any(victim.main and "python" in victim.comm for victim in victims),
        }
    )
    return Seen(text=_text(status, memory) + failed, as_expected=holds)


async def act_child(session: Session) -> Seen:
    """Only the child is; the command goes on, and nobody may keep the OOM kill secret."""
    command = f"{_ALLOCATE}; echo went on; sleep 2; exit 0"
    task = await session.launch(Wish(name="child-allocates", shell=command, cpus_milli=100, mem_mib=LIMIT_MIB))
    status = await task.ended()
    output = await task.read_all("stdout")
    memory = _memory(status)
    victims = memory.victims or ()
    told_early = [
        earlier for earlier in task.statuses if earlier.state is TaskState.RUNNING and _memory(earlier).oom_kill_count
    ]
    holds, failed = judge(
        {
            "TASK_FINISHED": status.state is TaskState.FINISHED,
            "the command went on": output == b"went on\n",
            "the OOM kill in the last status": memory.oom_kill_count >= 1,
            "told while it ran": bool(told_early),
            "the victim is a child": bool(victims) and not any(victim.main for victim in victims),
        }
    )
    early = "told at once" if told_early else "not told before the end"
    return Seen(text=f"{_text(status, memory)}, {early}{failed}", as_expected=holds)


def _memory(status: TaskStatus) -> MemoryEvidence:
    return (status.evidence.memory if status.evidence else None) or MemoryEvidence()


def _text(status: TaskStatus, memory: MemoryEvidence) -> str:
    limit = "?" if memory.limit_bytes is None else memory.limit_bytes // MIB
    peak = "?" if memory.peak_bytes is None else f"{memory.peak_bytes / MIB:.1f}"
    if memory.victims is None:
        victims = "victims unknown"
    else:
        names = (f"{victim.comm}{' (the command)' if victim.main else ' (a child)'}" for victim in memory.victims)
        victims = "victim " + (", ".join(names) or "none")
    kills = f"{memory.oom_kill_count} OOM kill{'' if memory.oom_kill_count == 1 else 's'}"
    return f"{status.state.name}, limit {limit} MiB, peak {peak} MiB, {kills}, {victims}"


ROWS = (
    Row(
        number=3,
        title="more memory than asked",
        asked=f"mem {LIMIT_MIB} MiB; 256 MiB allocated",
        expected="TASK_FAILED for memory, with limit, peak and victim",
        act=act_main,
    ),
    Row(
        number=4,
        title="a child is OOM-killed",
        asked=f"mem {LIMIT_MIB} MiB; a child allocates 256 MiB, the command exits 0",
        expected="TASK_FINISHED, and the OOM kill is reported",
        act=act_child,
    ),
)
