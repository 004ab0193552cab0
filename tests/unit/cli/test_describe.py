"""What people read about a task."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from paddock.cli.connect import agent_address
from paddock.cli.describe import (
    container_lines,
    evidence_lines,
    history_lines,
    show_lines,
    standalone_lines,
    statistics_lines,
    task_lines,
)
from paddock.cli.ps import exit_text, reason_text, row_of
from paddock.model.container import Termination
from paddock.model.errors import Unavailable
from paddock.model.health import HealthEvidence
from paddock.model.ids import TaskId
from paddock.model.statistics import ResourceStatistics
from paddock.model.task import (
    CommandInfo,
    DirectoryUsage,
    DiskEvidence,
    Evidence,
    LaunchFailure,
    MemoryEvidence,
    OomVictim,
    PidsEvidence,
    Reason,
    StatusSource,
    StopEvidence,
    TaskState,
    TaskStatus,
)
from paddock.model.uri import CommandUri
from paddock.rpc.clients.views_from_wire import container_view
from paddock.wire.convert.containers import termination_to_wire
from paddock.wire.convert.health import health_evidence_to_wire
from paddock.wire.v1 import containers_pb2, tasks_pb2
from tests.unit.cli.views import task_view

MIB = 1 << 20
WHOLE = Evidence(
    signal=9,
    memory=MemoryEvidence(
        limit_bytes=64 * MIB,
        peak_bytes=63 * MIB,
        oom_kill_count=2,
        victims=(OomVictim(pid=7, comm="python3", main=True),),
    ),
    pids=PidsEvidence(limit_count=64, refused_count=12),
    disk=DiskEvidence(
        limit_bytes=16 * MIB,
        used_bytes=18 * MIB,
        largest=(DirectoryUsage(path="big", used_bytes=17 * MIB),),
        du_duration_ms=3,
    ),
    stop=StopEvidence(signal=15, grace_period_ms=1000, took_ms=1003, escalated=True),
    launch_failure=LaunchFailure(stage="exec", message="execve /nope: No such file or directory"),
    dropped_log_bytes=2048,
    unapplied=("memory.memsw.limit_in_bytes: not there",),
)


def test_the_evidence_is_told_whole() -> None:
    assert list(evidence_lines(WHOLE)) == [
        ("Signal", "SIGKILL"),
        ("Memory", "limit 64 MiB, peak 63 MiB, 2 OOM kills, python3[7] (the command)"),
        ("Pids", "limit 64, 12 forks refused"),
        ("Disk", "18 MiB used, limit 16 MiB, du took 3 ms"),
        ("", "17 MiB big"),
        ("Stop", "SIGTERM, grace 1000 ms, took 1003 ms, then SIGKILL"),
        ("Launch", "failed at exec: execve /nope: No such file or directory"),
        ("Log", "2 KiB of output dropped: no space"),
        ("Not applied", "memory.memsw.limit_in_bytes: not there"),
    ]


def test_a_label_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_lines([("Name", "\x1b[2Jx\ny")])
    assert capsys.readouterr().out == "Name:         \\x1b[2Jx\\ny\n"


def test_nothing_seen_is_nothing_told() -> None:
    assert list(evidence_lines(Evidence())) == []
    assert list(statistics_lines(ResourceStatistics())) == []


def test_unknown_victims_are_not_guessed() -> None:
    lines = dict(evidence_lines(Evidence(memory=MemoryEvidence(oom_kill_count=1, victims=None))))
    assert lines["Memory"] == "limit -, peak -, 1 OOM kill, victims unknown"


def test_the_history_says_who_and_why() -> None:
    status = TaskStatus(
        task_id=TaskId("t"),
        state=TaskState.LOST,
        source=StatusSource.MASTER,
        reason=Reason.INVALID_OFFERS,
        message="the offer is gone",
        timestamp_ns=1_800_000_000_000_000_000,
    )
    lines = list(history_lines(task_view("t", state=TaskState.LOST, statuses=(status,))))
    assert lines == [("History", "2027-01-15T08:00:00.000Z lost [master] invalid_offers the offer is gone")]


def test_task_and_row_show_the_same() -> None:
    view = task_view("t")
    lines = dict(task_lines(view))
    assert lines["Resources"] == "cpus:0.1;mem:64"
    assert lines["Command"] == "/bin/true 'x; y'", "as a shell would take it"
    assert row_of(view, 0).cells[:4] == ("t", "name", "running", "here")


def test_how_the_command_ended_is_a_code_or_a_signal() -> None:
    assert [exit_text(Evidence(exit_code=code)) for code in (0, 137)] == ["0", "137"]
    assert exit_text(WHOLE) == "SIGKILL"
    assert (exit_text(None), exit_text(Evidence())) == ("", "")


def test_an_unknown_reason_survives() -> None:
    assert reason_text(0) == ""
    assert reason_text(102) == "kill_requested"
    assert reason_text(4711) == "reason 4711"


def test_statistics_for_people() -> None:
    lines = dict(
        statistics_lines(
            ResourceStatistics(
                cpu_usage_us=1_500_000,
                cpu_throttled_us=250_000,
                memory_usage_bytes=MIB,
                memory_limit_bytes=64 * MIB,
                memory_oom_kill_count=3,
                pids_count=2,
                pids_limit_count=64,
                pids_refused_count=1,
                disk_used_bytes=MIB,
                disk_limit_bytes=16 * MIB,
                missing=(("cgroups/cpu", "gone"),),
            )
        )
    )
    assert lines == {
        "CPU time": "1.500 s, throttled 0.250 s",
        "Memory": "1 MiB, peak -, limit 64 MiB",
        "OOM kills": "3",
        "Pids": "2 of 64, refused 1",
        "Disk": "1 MiB of 16 MiB",
        "Not measured": "cgroups/cpu: gone",
    }


def test_an_agent_is_dialled_by_its_socket_at_home_and_by_tcp_from_elsewhere(tmp_path: object) -> None:
    here = socket.gethostname()
    assert (
        agent_address(agent="a", hostname=here, unix_address=f"unix:{tmp_path}", tcp_address="h:1")
        == f"unix:{tmp_path}"
    )
    assert agent_address(agent="a", hostname="far", unix_address=f"unix:{tmp_path}", tcp_address="h:1") == "h:1"
    with pytest.raises(Unavailable, match="agent a on far cannot be reached from here: its socket unix:.* on host far"):
        agent_address(agent="a", hostname="far", unix_address=f"unix:{tmp_path}", tcp_address="")


def test_what_was_fetched_is_told() -> None:
    command = CommandInfo(
        arguments=("./tool",), uris=(CommandUri(value="/srv/x.tar"), CommandUri(value="/srv/t", output_file="tool"))
    )
    view = task_view("t")
    lines = list(task_lines(replace(view, task=replace(view.task, command=command))))
    assert ("Fetched", "/srv/x.tar as x.tar, unpacked") in lines
    assert ("Fetched", "/srv/t as tool") in lines


def test_a_standalone_container_shows_its_health_and_what_ended_it() -> None:
    found = HealthEvidence(passed=False, message="exit code 4", failed_count=2, took_ms=7, output="no\ndisk")
    message = containers_pb2.Container(
        container_id=containers_pb2.ContainerId(value="c1"),
        state=containers_pb2.CONTAINER_RUNNING,
        health_check=tasks_pb2.CheckInfo(command="x"),
        healthy=False,
        health=health_evidence_to_wire(found),
    )
    health = ("Health", "unhealthy; command 'x', every 10000 ms, 3 failures end it")
    seen = [("Health check", "exit code 4, took 7 ms, 2 failed in a row"), ("", "no disk")]
    assert list(standalone_lines(container_view(message))) == [health, *seen]
    ended = Termination(
        wait_status=15, state=TaskState.KILLED, reason=106, message="it was ill", evidence=Evidence(health=found)
    )
    message.termination.CopyFrom(termination_to_wire(ended))
    assert list(standalone_lines(container_view(message))) == [
        health,
        ("End", "killed health_check_failed it was ill"),
        *seen,
    ]


def test_no_process_is_shown_of_a_container_that_has_ended() -> None:
    """Its shim may have another container by now: whoever ended that would end a stranger's task."""
    message = containers_pb2.Container(state=containers_pb2.CONTAINER_RUNNING, pid=71, shim_pid=70, user="root")
    message.started.FromSeconds(1_795_000_000)
    assert "shim 70" in str(dict(container_lines(container_view(message))))
    message.ended.FromSeconds(1_795_000_001)
    assert "70" not in str(dict(container_lines(container_view(message))))
