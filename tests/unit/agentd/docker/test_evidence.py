"""The record of an engine's container: the shim's, and what its stand-in saw of the engine's own cgroup."""

from dataclasses import replace

import pytest

from agentd.core.exit_record import ExitRecord, KillOutcome
from agentd.docker.evidence import KillsIn, merged
from agentd.docker.notes import Note
from paddock.kernel import kmsg
from paddock.kernel.errors import KernelError
from paddock.kernel.kmsg import OomKill
from paddock.model.ids import ContainerId
from paddock.model.task import OomVictim

PATH = "/paddock-a1/c1"
NOT_KILLED = "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"
KILLED = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"


def record(**counters: str) -> ExitRecord:
    named = tuple((key.replace("__", "/").replace("_DOT_", "."), text) for key, text in counters.items())
    return ExitRecord(container_id=ContainerId("c1"), pid=50, counters=named, problems=("shim",))


def line(pid: int, comm: str, path: str) -> str:
    return f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task_memcg={path},task={comm},pid={pid},uid=0"


def told(*lines: str) -> KillsIn:
    """The kernel's log."""
    return lambda path: kmsg.oom_kills_in(lines, path)


def test_of_two_counts_the_larger_is_told() -> None:
    ours = record(cpu__cpu_DOT_stat="nr_periods 9\nnr_throttled 1\nthrottled_time 5\n", memory__peak="900\n")
    note = Note(
        pid=7,
        has_ended=True,
        counters={"cpu/cpu.stat": "nr_periods 4\nnr_throttled 3\nthrottled_time 8\n", "memory/peak": "1000\n"},
    )
    found = merged(ours, note, PATH, told())
    assert dict(found.counters) == {
        "cpu/cpu.stat": "nr_periods 9\nnr_throttled 3\nthrottled_time 8\n",
        # Ours is over both.
        "memory/peak": "900\n",
    }
    assert (found.pid, found.problems, found.victims) == (7, ("shim",), ())


def test_victims_are_found_where_the_engines_cgroup_counted_them() -> None:
    log = told(
        line(8, "java", f"{PATH}/{'e' * 64}"),
        line(9, "helper", f"{PATH}/{'e' * 64}"),
        line(10, "x", "/paddock-a1/c11"),
    )
    note = Note(pid=7, main_pid=8, has_ended=True, counters={"memory/memory.oom_control": KILLED}, problem="late")
    found = merged(record(memory__memory_DOT_oom_control=NOT_KILLED), note, PATH, log)
    assert dict(found.counters) == {"memory/memory.oom_control": KILLED}
    assert found.victims == (OomVictim(pid=8, comm="java", main=True), OomVictim(pid=9, comm="helper", main=False))
    assert found.problems == ("shim", "late")


@pytest.mark.parametrize(
    ("late_ms", "took_ms", "escalated"),
    [(0, 10_000, True), (9_990, 10, False), (8_000, 2000, True), (10_000, 0, False)],
)
def test_what_a_kill_took_is_the_commands_time_and_not_that_of_an_engine_that_hangs(
    late_ms: int, took_ms: int, escalated: bool
) -> None:
    kill = KillOutcome(signal=15, grace_ms=2000, escalated=True, took_ms=10_000)
    found = merged(replace(record(), kill=kill, ended_ns=10**18), Note(pid=7, late_ms=late_ms), PATH, told())
    assert found.kill == replace(kill, took_ms=took_ms, escalated=escalated)
    assert found.ended_ns == 10**18 - late_ms * 10**6
    assert not found.engine_away


def test_what_was_killed_after_its_end_has_ended_by_itself() -> None:
    """While its stand-in waited for an engine that hangs: a kill that somebody wanted, or that of its completion time."""
    kill = KillOutcome(signal=15, grace_ms=30_000, escalated=False, took_ms=5000)
    late = merged(replace(record(), kill=kill, max_completion_reached=True), Note(pid=7, late_ms=8000), PATH, told())
    assert (late.kill, late.max_completion_reached) == (None, False)
    in_time = merged(replace(record(), kill=kill, max_completion_reached=True), Note(pid=7, late_ms=3000), PATH, told())
    assert (in_time.kill, in_time.max_completion_reached) == (replace(kill, took_ms=2000), True)


def test_that_its_engine_was_away_is_known() -> None:
    assert merged(record(), Note(engine_away=True), PATH, told()).engine_away
    assert merged(record(), Note(engine_silent_ms=7), PATH, told()).engine_silent_ms == 7


@pytest.mark.parametrize(
    ("status", "counters"), [(9, {"memory/memory.oom_control": NOT_KILLED}), (0, {}), (7 << 8, {})]
)
def test_what_nobody_counted_in_time_the_log_tells(status: int, counters: dict[str, str]) -> None:
    log = told(line(8, "java", f"{PATH}/{'e' * 64}"))
    note = Note(pid=7, main_pid=8, has_ended=True, counters=counters)
    found = merged(replace(record(memory__memory_DOT_oom_control=NOT_KILLED), wait_status=status), note, PATH, log)
    assert dict(found.counters) == {"memory/memory.oom_control": NOT_KILLED.replace("oom_kill 0", "oom_kill 1")}
    assert found.victims == (OomVictim(pid=8, comm="java", main=True),)


def test_where_the_log_may_not_be_read_nobody_is_named() -> None:
    def refuse(_path: str) -> tuple[OomKill, ...]:
        raise KernelError("open", "/dev/kmsg", "", 1)

    note = Note(pid=7, has_ended=True, counters={"memory/memory.oom_control": KILLED})
    assert merged(record(memory__memory_DOT_oom_control=NOT_KILLED), note, PATH, refuse).victims is None


def test_without_a_kill_the_log_is_not_read() -> None:
    note = Note(pid=7, has_ended=True, counters={"memory/memory.oom_control": NOT_KILLED})
    found = merged(record(memory__memory_DOT_oom_control=NOT_KILLED), note, PATH, lambda _: pytest.fail("it was read"))
    assert found.victims == ()
