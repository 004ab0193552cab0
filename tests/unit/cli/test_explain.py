"""What `paddock explain` says: what was asked, how close it is, what ended it."""

import json
from dataclasses import replace

import pytest

from paddock.cli.closeness import closeness_lines, measured_at_the_end, share_text
from paddock.cli.describe import check_lines
from paddock.cli.explain import Known, asked_lines, close_lines, document_of, end_lines, limits_text
from paddock.model.health import Check, CheckStatus, HealthCheck, HealthEvidence, TcpCheck
from paddock.model.ids import TaskId
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import (
    CpuEvidence,
    Evidence,
    MemoryEvidence,
    OomVictim,
    PidsEvidence,
    Reason,
    ResourceLimits,
    StatusSource,
    TaskState,
    TaskStatus,
)
from tests.unit.cli.views import task_view

MIB = 1 << 20
USED = ResourceStatistics(
    cpu_usage_us=2_500_000,
    cpu_period_count=200,
    cpu_throttled_count=20,
    cpu_throttled_us=1_500_000,
    memory_usage_bytes=48 * MIB,
    memory_working_set_bytes=32 * MIB,
    memory_anon_bytes=16 * MIB,
    memory_peak_bytes=60 * MIB,
    memory_limit_bytes=64 * MIB,
    memory_oom_kill_count=1,
    pids_count=5,
    pids_limit_count=50,
    pids_peak_count=10,
    pids_refused_count=3,
    disk_used_bytes=4 * MIB,
    disk_limit_bytes=16 * MIB,
    missing=(("x/y", "gone"),),
)
ENDED = TaskStatus(
    task_id=TaskId("t1"),
    state=TaskState.FAILED,
    source=StatusSource.AGENT,
    reason=Reason.CONTAINER_LIMITATION_MEMORY,
    message="out of memory",
    evidence=Evidence(
        signal=9,
        cpu=CpuEvidence(usage_us=1_000_000, period_count=0, throttled_count=0),
        memory=MemoryEvidence(
            limit_bytes=64 * MIB,
            peak_bytes=64 * MIB,
            oom_kill_count=1,
            victims=(OomVictim(pid=7, comm="python3", main=True),),
        ),
        pids=PidsEvidence(limit_count=50, refused_count=2, peak_count=9),
    ),
    timestamp_ns=1,
)


def test_how_close_it_is() -> None:
    assert list(closeness_lines(USED, 10 * 10**9)) == [
        ("CPU", "2.500 s used, 0.25 CPUs on average; throttled in 20 of 200 periods (10 %), 1.500 s lost"),
        (
            "Memory",
            "48 MiB used (75 %), 32 MiB of it working set, 16 MiB anonymous, peak 60 MiB (94 %), limit 64 MiB, 1 OOM kill",
        ),
        ("Pids", "5 now (10 %), peak 10 (20 %), limit 50, 3 refused"),
        ("Disk", "4 MiB of 16 MiB (25 %)"),
        ("Not measured", "x/y: gone"),
    ]


def test_what_is_not_known_is_not_said() -> None:
    assert list(closeness_lines(ResourceStatistics(), 5)) == []
    (line,) = closeness_lines(ResourceStatistics(cpu_usage_us=0), 0)
    assert line == ("CPU", "0.000 s used; never throttled")
    found = ResourceStatistics(memory_usage_bytes=MIB, pids_count=2)
    assert [text for _, text in closeness_lines(found, 0)] == [
        "1 MiB used, no limit, 0 OOM kills",
        "2 now, no limit, 0 refused",
    ]
    assert share_text(5, 0) == share_text(None, 5) == share_text(5, None) == ""


def test_of_one_that_has_ended_the_last_counters_say_it() -> None:
    known = Known(task=task_view("t1", state=TaskState.FAILED, statuses=(ENDED,)))
    assert list(close_lines(known, 0)) == [
        ("CPU", "1.000 s used; never throttled"),
        ("Memory", "peak 64 MiB (100 %), limit 64 MiB, 1 OOM kill"),
        ("Pids", "peak 9 (18 %), limit 50, 2 refused"),
    ]
    told = list(end_lines(known.task))
    assert told[0][0] == "Ended"
    assert "container_limitation_memory out of memory" in told[0][1]
    assert ("Signal", "SIGKILL") in told
    assert any("python3[7] (the command)" in text for _, text in told)
    assert not any(label == "Pids" for label, _ in told)
    assert measured_at_the_end(Evidence()) == ResourceStatistics()


def test_what_was_asked_and_by_whom() -> None:
    task = task_view("t1")
    limits = ResourceLimits(cpus_milli=1500, memory_bytes=-1, swap_bytes=MIB, pids_count=9)
    check = HealthCheck(command="true")
    informs = Check(tcp=TcpCheck(port=80))
    info = replace(task.task, limits=limits, health_check=check, check=informs, max_completion_time_ms=5000)
    told = dict(asked_lines(Known(task=replace(task, task=info, limits=limits))))
    assert told["Asked"] == "cpus:0.1;mem:64; limits: cpus 1.5, memory none, swap 1 MiB, pids 9"
    changed = dict(asked_lines(Known(task=replace(task, task=info, limits=replace(limits, pids_count=8)))))
    assert changed["Asked"] == told["Asked"]
    assert changed["Changed"] == "limits now: cpus 1.5, memory none, swap 1 MiB, pids 8"
    assert told["By"] == "framework tests (framework), principal not known any more, role *"
    assert told["Stopped by"] == "SIGTERM, SIGKILL after 3000 ms; ended after 5000 ms"
    assert told["Health"] == "unknown; command 'true', every 10000 ms, 3 failures end it"
    assert told["Check"] == "none made yet; connect to 127.0.0.1:80, every 10000 ms, only informs"
    assert "Changed" not in told
    assert limits_text(ResourceLimits()) == ""


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (CheckStatus(exit_code=0), "exit code 0"),
        (CheckStatus(http_status=503), "HTTP status 503"),
        (CheckStatus(tcp_succeeded=True), "connected"),
        (CheckStatus(tcp_succeeded=False), "not connected"),
        (CheckStatus(message="no result within 5 ms"), "no result (no result within 5 ms)"),
    ],
)
def test_a_check_that_only_informs_says_what_it_found_last(found: CheckStatus, text: str) -> None:
    status = replace(ENDED, state=TaskState.RUNNING, check_status=replace(found, output="some\nwords"))
    task = task_view("t1", statuses=(status,))
    task = replace(task, task=replace(task.task, check=Check(command="x")))
    assert list(check_lines(task)) == [
        ("Check", f"{text}; command 'x', every 10000 ms, only informs"),
        ("", "some words"),
    ]


def test_one_that_runs_says_what_was_heard_last() -> None:
    healthy = replace(
        ENDED, state=TaskState.RUNNING, reason=30, message="healthy", healthy=True, evidence=Evidence(health=None)
    )
    (line,) = end_lines(task_view("t1", statuses=(healthy,)))
    assert line[1].startswith("not yet; last heard: ")


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        (TaskState.STAGING, "not begun"),
        (TaskState.STARTING, "not begun"),
        (TaskState.RUNNING, "not yet"),
        (TaskState.KILLING, "not yet"),
        (TaskState.FINISHED, "finished"),
    ],
)
def test_how_it_is_while_nobody_has_said_a_word(state: TaskState, ended: str) -> None:
    assert list(end_lines(task_view("t1", state=state))) == [("Ended", ended)]


def test_a_health_kill_shows_the_last_check() -> None:
    found = HealthEvidence(passed=False, message="exit code 5", failed_count=3, took_ms=7, output="no\ndisk")
    status = replace(ENDED, state=TaskState.KILLED, reason=106, evidence=Evidence(health=found))
    told = list(end_lines(task_view("t1", state=TaskState.KILLED, statuses=(status,))))
    assert told[1:] == [("Health check", "exit code 5, took 7 ms, 3 failed in a row"), ("", "no disk")]


def test_the_document_is_json_with_null_for_what_is_not_known() -> None:
    found = json.loads(document_of(Known(task=task_view("t1"))))
    assert found["task"]["task"]["task_id"] == "t1"
    assert (found["framework"], found["container"], found["limits"], found["statistics"]) == (None, None, [], None)
