"""From what happened to an exit code: one table for errors, one rule for a task's end."""

from __future__ import annotations

import errno
import os
import re

from paddock.cli.exit_codes import (
    CONFLICT,
    FAILURE,
    NO_SUCH_COMMAND,
    NOT_EXECUTABLE,
    NOT_FOUND,
    NOT_RUN,
    OK,
    PERMISSION,
    TIMED_OUT,
    UNAVAILABLE,
    USAGE,
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
)
from paddock.model.task import Evidence, Reason, TaskState, TaskStatus


class Conflict(PaddockError):
    """What is there does not allow it: a prefix that begins two ids, a task that has ended already."""


_OF_ERROR: tuple[tuple[type[BaseException], int], ...] = (
    (TimeoutError, TIMED_OUT),
    (TimedOut, TIMED_OUT),
    (InvalidRequest, USAGE),
    (ConfigError, USAGE),
    (NotFound, NOT_FOUND),
    (AlreadyExists, CONFLICT),
    (Conflict, CONFLICT),
    (InvalidTransition, CONFLICT),
    (ResourcesExhausted, CONFLICT),
    (PermissionRefused, PERMISSION),
    (PermissionError, PERMISSION),
    (Unauthenticated, PERMISSION),
    (Unavailable, UNAVAILABLE),
    (NotLeading, UNAVAILABLE),
    (ConnectionError, UNAVAILABLE),
    (PaddockError, FAILURE),
)


_MISSING = frozenset({"ENOENT", "ENOTDIR"})
"""How a refused exec names a command that is not there."""


def exit_code_of(error: BaseException) -> int:
    """The code for an error that ends the command."""
    if isinstance(error, ContainerizerError) and error.stage == "exec":
        return NO_SUCH_COMMAND if _MISSING & set(re.findall(r"\bE[A-Z]+\b", str(error))) else NOT_EXECUTABLE
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), FAILURE)


def sentence_of(error: BaseException) -> str:
    """What is said about it: the error's own words on one line, never a traceback."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def exit_code_of_status(status: TaskStatus) -> int:
    """The code for a task's terminal status."""
    evidence = status.evidence or Evidence()
    if status.reason == Reason.MAX_COMPLETION_TIME_REACHED:
        return TIMED_OUT
    if evidence.launch_failure is not None:
        return _of_launch_failure(evidence.launch_failure.stage, evidence.launch_failure.errno)
    if evidence.exit_code is not None:
        return evidence.exit_code
    if evidence.signal is not None:
        return 128 + evidence.signal
    if status.state is TaskState.FINISHED:
        return OK
    return NOT_RUN


def _of_launch_failure(stage: str, error_number: int) -> int:
    if stage != "exec":
        return NOT_RUN
    return NO_SUCH_COMMAND if error_number in {errno.ENOENT, errno.ENOTDIR} else NOT_EXECUTABLE


def exit_code_of_wait_status(wait_status: int) -> int:
    """The code for what waitpid gave: a further process has no status of its own."""
    if os.WIFSIGNALED(wait_status):
        return 128 + os.WTERMSIG(wait_status)
    return os.WEXITSTATUS(wait_status)


def ended_by_itself(status: TaskStatus) -> bool:
    """Whether the command exited with a code of its own will: then there is nothing to explain."""
    evidence = status.evidence
    return (
        evidence is not None
        and evidence.exit_code is not None
        and evidence.launch_failure is None
        and status.reason in {Reason.UNSPECIFIED, Reason.COMMAND_EXITED}
        and status.state in {TaskState.FINISHED, TaskState.FAILED}
    )


def lost_something(status: TaskStatus) -> bool:
    """Whether something happened that its exit code does not tell: a child was OOM-killed, output was dropped."""
    evidence = status.evidence or Evidence()
    return bool((evidence.memory and evidence.memory.oom_kill_count) or evidence.dropped_log_bytes)
