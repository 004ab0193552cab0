"""The truth about ends: one row per case, exact state, reason, and what the message must say."""

from dataclasses import replace

import pytest

from agentd.core.durable import ContainerStopping
from agentd.core.exit_record import ExitRecord, KillOutcome
from agentd.core.termination import EndFacts, terminate
from paddock.model.ids import ContainerId
from paddock.model.statistics import Limitation
from paddock.model.task import (
    DiskEvidence,
    Evidence,
    KillPolicy,
    LaunchFailure,
    MemoryEvidence,
    OomVictim,
    Reason,
    StopEvidence,
    TaskState,
)

C = ContainerId("c1")
MIB = 2**20
MAIN = OomVictim(pid=100, comm="python3", main=True)
CHILD = OomVictim(pid=101, comm="hungry", main=False)
KILL = ContainerStopping(container_id=C, policy=KillPolicy(), by="the framework")
DRAIN = replace(KILL, by="root (uid 0), who drains the agent", reason=Reason.AGENT_DRAINING)
DISK = DiskEvidence(limit_bytes=16 * MIB, used_bytes=20 * MIB)
DISK_LIMIT = ContainerStopping(
    container_id=C,
    policy=KillPolicy(),
    limitation=Limitation(
        container_id=C,
        isolator="disk/du",
        reason=Reason.CONTAINER_LIMITATION_DISK,
        message="too much",
        fatal=True,
        disk=DISK,
    ),
)
IN_TIME = KillOutcome(signal=15, grace_ms=3000, escalated=False, took_ms=12)
TOO_LATE = KillOutcome(signal=15, grace_ms=3000, escalated=True, took_ms=3004)


def ended(wait_status: int | None, **changes: object) -> ExitRecord:
    return replace(ExitRecord(container_id=C, wait_status=wait_status), **changes)  # type: ignore[arg-type]


def oom(count: int, *, peak: int = 64 * MIB) -> Evidence:
    return Evidence(memory=MemoryEvidence(limit_bytes=64 * MIB, peak_bytes=peak, oom_kill_count=count))


ROWS: dict[str, tuple[EndFacts, TaskState, Reason, tuple[str, ...]]] = {
    "exit 0": (EndFacts(record=ended(0)), TaskState.FINISHED, Reason.UNSPECIFIED, ("code 0",)),
    "exit 3": (EndFacts(record=ended(3 << 8)), TaskState.FAILED, Reason.COMMAND_EXITED, ("code 3",)),
    "ended by an engine that went": (
        EndFacts(record=ended(15, engine_away=True)),
        TaskState.FAILED,
        Reason.COMMAND_SIGNALED,
        ("SIGTERM", "while its engine answered nobody", "live-restore"),
    ),
    "exit 0 for an engine that went": (
        EndFacts(record=ended(0, engine_away=True)),
        TaskState.FINISHED,
        Reason.UNSPECIFIED,
        ("code 0, while its engine answered nobody",),
    ),
    "exit 3 for an engine that was silent": (
        EndFacts(record=ended(3 << 8, engine_silent_ms=2000)),
        TaskState.FAILED,
        Reason.COMMAND_EXITED,
        ("code 3, while its engine did not answer within 2 s (",),
    ),
    "child killed for memory, exit 0": (
        EndFacts(record=ended(0, victims=(CHILD,)), evidence=oom(1)),
        TaskState.FINISHED,
        Reason.UNSPECIFIED,
        ("code 0", "killed 1 of its processes for memory", "hungry 101", "limit 64.0 MiB", "peak 64.0 MiB"),
    ),
    "child killed for memory, exit 1": (
        EndFacts(record=ended(1 << 8, victims=(CHILD,)), evidence=oom(1)),
        TaskState.FAILED,
        Reason.COMMAND_EXITED,
        ("code 1", "hungry"),
    ),
    "main killed for memory": (
        EndFacts(record=ended(9, victims=(CHILD, MAIN)), evidence=oom(2)),
        TaskState.FAILED,
        Reason.CONTAINER_LIMITATION_MEMORY,
        ("out of memory", "python3 (pid 100)", "limit 64.0 MiB", "peak 64.0 MiB"),
    ),
    "SIGKILL, memory, the kernel's log unreadable": (
        EndFacts(record=ended(9, victims=None), evidence=oom(1)),
        TaskState.FAILED,
        Reason.CONTAINER_LIMITATION_MEMORY,
        ("does not name it",),
    ),
    "SIGKILL by another, children killed for memory": (
        EndFacts(record=ended(9, victims=(CHILD,)), evidence=oom(1)),
        TaskState.FAILED,
        Reason.COMMAND_SIGNALED,
        ("SIGKILL", "Paddock did not send", "hungry"),
    ),
    "SIGKILL by another": (
        EndFacts(record=ended(9), evidence=oom(0)),
        TaskState.FAILED,
        Reason.COMMAND_SIGNALED,
        ("SIGKILL",),
    ),
    "core dump": (EndFacts(record=ended(11 | 0x80)), TaskState.FAILED, Reason.COMMAND_SIGNALED, ("SIGSEGV",)),
    "killed on request": (
        EndFacts(record=ended(15, kill=IN_TIME), stopping=KILL),
        TaskState.KILLED,
        Reason.KILL_REQUESTED,
        ("the framework", "SIGTERM", "grace 3000 ms", "12 ms"),
    ),
    "killed on request, exit 0": (
        EndFacts(record=ended(0, kill=IN_TIME), stopping=KILL),
        TaskState.KILLED,
        Reason.KILL_REQUESTED,
        (),
    ),
    "grace expired": (
        EndFacts(record=ended(9, kill=TOO_LATE), stopping=KILL),
        TaskState.KILLED,
        Reason.KILL_GRACE_EXPIRED,
        ("within its grace period", "3004 ms"),
    ),
    "ended by itself before the kill reached it": (
        EndFacts(record=ended(0), stopping=KILL),
        TaskState.FINISHED,
        Reason.UNSPECIFIED,
        (),
    ),
    "disk": (
        EndFacts(record=ended(9, kill=IN_TIME), stopping=DISK_LIMIT),
        TaskState.FAILED,
        Reason.CONTAINER_LIMITATION_DISK,
        ("too much",),
    ),
    "max completion": (
        EndFacts(record=ended(15, kill=IN_TIME, max_completion_reached=True), max_completion_time_ms=500),
        TaskState.FAILED,
        Reason.MAX_COMPLETION_TIME_REACHED,
        ("500 ms",),
    ),
    "supervisor lost": (
        EndFacts(record=ended(None, supervisor_lost=True)),
        TaskState.FAILED,
        Reason.SUPERVISOR_LOST,
        ("shim",),
    ),
    "supervisor lost while killed": (
        EndFacts(record=ended(None, supervisor_lost=True), stopping=KILL),
        TaskState.KILLED,
        Reason.SUPERVISOR_LOST,
        ("on request",),
    ),
    "launch failed": (
        EndFacts(record=None, failure=LaunchFailure(stage="exec", message="no such file")),
        TaskState.FAILED,
        Reason.CONTAINER_LAUNCH_FAILED,
        ("stopped at exec", "no such file"),
    ),
    "launch failed, by the record": (
        EndFacts(record=ended(None, launch_error=LaunchFailure(stage="cgroup", message="EINVAL"))),
        TaskState.FAILED,
        Reason.CONTAINER_LAUNCH_FAILED,
        ("stopped at cgroup",),
    ),
    "image not found": (
        EndFacts(record=None, failure=LaunchFailure(stage="image", message="manifest unknown")),
        TaskState.FAILED,
        Reason.IMAGE_NOT_FOUND,
        ("stopped at image", "manifest unknown"),
    ),
    "image not given": (
        EndFacts(record=None, failure=LaunchFailure(stage="access", message="denied")),
        TaskState.FAILED,
        Reason.IMAGE_ACCESS_DENIED,
        ("denied",),
    ),
    "image did not come, while it was killed": (
        EndFacts(record=None, failure=LaunchFailure(stage="pull", message="i/o timeout"), stopping=KILL),
        TaskState.FAILED,
        Reason.IMAGE_PULL_FAILED,
        ("i/o timeout",),
    ),
    "engine hung": (
        EndFacts(record=None, failure=LaunchFailure(stage="engine", message="10 s")),
        TaskState.FAILED,
        Reason.ENGINE_UNRESPONSIVE,
        ("stopped at engine",),
    ),
    "killed before it was launched": (
        EndFacts(record=None, stopping=KILL),
        TaskState.KILLED,
        Reason.TASK_KILLED_DURING_LAUNCH,
        ("never ran",),
    ),
    "the launch never arrived": (EndFacts(record=None), TaskState.DROPPED, Reason.AGENT_RESTARTED, ("never ran",)),
    "another boot": (EndFacts(record=None, rebooted=True), TaskState.GONE, Reason.AGENT_REBOOTED, ("started anew",)),
    "another boot, and a note of its supervisor": (
        EndFacts(record=ended(None, supervisor_lost=True), rebooted=True, stopping=KILL),
        TaskState.GONE,
        Reason.AGENT_REBOOTED,
        ("started anew", "while it was being ended on request"),
    ),
    "drained": (
        EndFacts(record=ended(15, kill=KillOutcome(signal=15, grace_ms=9, escalated=False, took_ms=1)), stopping=DRAIN),
        TaskState.KILLED,
        Reason.AGENT_DRAINING,
        ("on request of root (uid 0), who drains the agent", "SIGTERM", "grace 9 ms"),
    ),
    "drained, and did not listen": (
        EndFacts(record=ended(9, kill=KillOutcome(signal=15, grace_ms=9, escalated=True, took_ms=10)), stopping=DRAIN),
        TaskState.KILLED,
        Reason.AGENT_DRAINING,
        ("who drains the agent", "did not end it within its grace period"),
    ),
    "drained without a grace period": (
        EndFacts(record=ended(9, kill=KillOutcome(signal=15, grace_ms=0, escalated=True, took_ms=1)), stopping=DRAIN),
        TaskState.KILLED,
        Reason.AGENT_DRAINING,
        ("who drains the agent at once (SIGTERM, grace 0 ms, ended after 1 ms)",),
    ),
    "drained during its launch": (
        EndFacts(record=None, stopping=DRAIN),
        TaskState.KILLED,
        Reason.AGENT_DRAINING,
        ("during its launch", "who drains the agent"),
    ),
    "ended before another boot": (
        EndFacts(record=ended(5 << 8), rebooted=True),
        TaskState.FAILED,
        Reason.COMMAND_EXITED,
        ("code 5",),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_each_end_is_told_as_it_was(name: str) -> None:
    facts, state, reason, words = ROWS[name]
    told = terminate(facts)
    assert (told.state, told.reason) == (state, reason)
    assert told.state.is_terminal
    for word in words:
        assert word in told.message


def test_evidence_of_a_stop() -> None:
    told = terminate(EndFacts(record=ended(9, kill=TOO_LATE), stopping=KILL))
    assert told.evidence.stop == StopEvidence(signal=15, grace_period_ms=3000, took_ms=3004, escalated=True)
    assert (told.evidence.signal, told.evidence.exit_code) == (9, None)


def test_evidence_of_the_disk_comes_from_the_limitation() -> None:
    assert terminate(EndFacts(record=ended(9), stopping=DISK_LIMIT)).evidence.disk == DISK


def test_victims_are_told_and_never_guessed() -> None:
    assert terminate(EndFacts(record=ended(0, victims=(CHILD,)), evidence=oom(1))).evidence.memory == MemoryEvidence(
        limit_bytes=64 * MIB, peak_bytes=64 * MIB, oom_kill_count=1, victims=(CHILD,)
    )
    unknown = terminate(EndFacts(record=ended(0, victims=None), evidence=oom(1)))
    assert unknown.evidence.memory is not None
    assert unknown.evidence.memory.victims is None
    assert "(the kernel's log could not be read, so their names are unknown)" in unknown.message


def test_what_could_not_be_applied_is_told() -> None:
    assert terminate(EndFacts(record=ended(0), unapplied=("memsw",))).evidence.unapplied == ("memsw",)
