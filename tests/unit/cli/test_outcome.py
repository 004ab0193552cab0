"""The exit-code tables, row by row."""

from __future__ import annotations

import errno

import pytest

from paddock.cli.outcome import (
    ended_by_itself,
    exit_code_of,
    exit_code_of_status,
    exit_code_of_wait_status,
    lost_something,
    sentence_of,
)
from paddock.model.errors import (
    AlreadyExists,
    ConfigError,
    ContainerizerError,
    InvalidRequest,
    InvalidTransition,
    NotFound,
    NotLeading,
    PaddockError,
    PermissionRefused,
    ResourcesExhausted,
    TimedOut,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from paddock.model.ids import TaskId
from paddock.model.task import Evidence, LaunchFailure, MemoryEvidence, Reason, StatusSource, TaskState, TaskStatus


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PaddockError("x"), 1),
        (Unsupported("f", "r"), 1),
        (InvalidRequest("--mem", "x", "y"), 2),
        (ConfigError(("x",)), 2),
        (NotFound("task", "x"), 3),
        (AlreadyExists("task", "x", "y"), 4),
        (ContainerizerError("c", "exec", "execve /x: No such file or directory (ENOENT)"), 127),
        (ContainerizerError("c", "exec", "execve /x: Permission denied (EACCES)"), 126),
        (ContainerizerError("c", "prepare", "isolator cgroups/mem: ENOENT"), 1),
        (InvalidTransition("task", "RUNNING", "x"), 4),
        (ResourcesExhausted("x"), 4),
        (PermissionRefused("x"), 5),
        (PermissionError(errno.EACCES, "Permission denied", "/run/x"), 5),
        (Unavailable("x"), 6),
        (NotLeading(""), 6),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), 6),
        (TimeoutError("x"), 124),
        (TimedOut("x"), 124),
        (Unauthenticated("x"), 5),
        (OSError(errno.ENOSPC, "No space left on device"), 1),
    ],
)
def test_each_error_has_its_code(error: BaseException, code: int) -> None:
    assert exit_code_of(error) == code


def test_an_error_is_said_on_one_line() -> None:
    assert sentence_of(ConfigError(("first", "second"))) == "first second"
    assert sentence_of(OSError(errno.ENOENT, "No such file or directory", "/a")) == "/a: No such file or directory"
    assert sentence_of(TimeoutError()) == "TimeoutError"


def status(state: TaskState, reason: int = Reason.UNSPECIFIED, evidence: Evidence | None = None) -> TaskStatus:
    return TaskStatus(
        task_id=TaskId("t"), state=state, source=StatusSource.AGENT, reason=reason, message="why", evidence=evidence
    )


def launch_failed(stage: str, number: int) -> TaskStatus:
    failure = LaunchFailure(stage=stage, message="m", errno=number)
    return status(TaskState.FAILED, Reason.CONTAINER_LAUNCH_FAILED, Evidence(launch_failure=failure))


@pytest.mark.parametrize(
    ("ended", "code", "by_itself"),
    [
        (status(TaskState.FINISHED, evidence=Evidence(exit_code=0)), 0, True),
        (status(TaskState.FINISHED), 0, False),
        (status(TaskState.FAILED, Reason.COMMAND_EXITED, Evidence(exit_code=7)), 7, True),
        (status(TaskState.FAILED, Reason.COMMAND_SIGNALED, Evidence(signal=11)), 139, False),
        (status(TaskState.KILLED, Reason.KILL_REQUESTED, Evidence(signal=15)), 143, False),
        (status(TaskState.KILLED, Reason.KILL_REQUESTED, Evidence(exit_code=3)), 3, False),
        (status(TaskState.FAILED, Reason.MAX_COMPLETION_TIME_REACHED, Evidence(signal=9)), 124, False),
        (status(TaskState.FAILED, Reason.CONTAINER_LIMITATION_MEMORY, Evidence(signal=9)), 137, False),
        (launch_failed("exec", errno.ENOENT), 127, False),
        (launch_failed("exec", errno.EACCES), 126, False),
        (launch_failed("exec", errno.ENOEXEC), 126, False),
        (launch_failed("cgroup", errno.ENOENT), 125, False),
        (status(TaskState.ERROR, Reason.TASK_INVALID), 125, False),
        (status(TaskState.LOST), 125, False),
        (status(TaskState.DROPPED), 125, False),
    ],
)
def test_each_end_has_its_code(ended: TaskStatus, code: int, by_itself: bool) -> None:
    assert exit_code_of_status(ended) == code
    assert ended_by_itself(ended) is by_itself


@pytest.mark.parametrize(("wait_status", "code"), [(0, 0), (7 << 8, 7), (9, 137), (15 | 0x80, 143)])
def test_a_wait_status_has_its_code(wait_status: int, code: int) -> None:
    assert exit_code_of_wait_status(wait_status) == code


def test_what_the_exit_code_does_not_tell_is_noticed() -> None:
    assert not lost_something(status(TaskState.FINISHED, evidence=Evidence(exit_code=0, memory=MemoryEvidence())))
    assert lost_something(
        status(TaskState.FINISHED, evidence=Evidence(exit_code=0, memory=MemoryEvidence(oom_kill_count=1)))
    )
    assert lost_something(status(TaskState.FINISHED, evidence=Evidence(exit_code=0, dropped_log_bytes=1)))
    assert not lost_something(status(TaskState.LOST))
