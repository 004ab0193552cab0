"""The command's exit codes: one table for errors, one rule for a task's end.

0 ok · 1 failure · 2 usage · 3 not found · 4 conflict · 5 permission · 6 unavailable · 124 time-out. `run`, `wait` and `exec` pass
the task's own code through, 128 + n for a signal; 125 when Paddock could not run it, 126 when the command cannot be executed,
127 when it is not there.
"""

from __future__ import annotations

import errno
import os

from paddock.model.errors import (
    AlreadyExists,
    ConfigError,
    InvalidRequest,
    InvalidTransition,
    NotFound,
    NotLeading,
    PaddockError,
    PermissionRefused,
    ResourcesExhausted,
    Unavailable,
)
from paddock.model.task import Evidence, Reason, TaskState, TaskStatus

OK = 0
FAILURE = 1
USAGE = 2
NOT_FOUND = 3
CONFLICT = 4
PERMISSION = 5
UNAVAILABLE = 6
TIMED_OUT = 124
NOT_RUN = 125
NOT_EXECUTABLE = 126
NO_SUCH_COMMAND = 127
INTERRUPTED = 130


class Conflict(PaddockError):
    """What is there does not allow it: a prefix that begins two ids, a task that has ended already."""


_OF_ERROR: tuple[tuple[type[BaseException], int], ...] = (
    (TimeoutError, TIMED_OUT),
    (InvalidRequest, USAGE),
    (ConfigError, USAGE),
    (NotFound, NOT_FOUND),
    (AlreadyExists, CONFLICT),
    (Conflict, CONFLICT),
    (InvalidTransition, CONFLICT),
    (ResourcesExhausted, CONFLICT),
    (PermissionRefused, PERMISSION),
    (PermissionError, PERMISSION),
    (Unavailable, UNAVAILABLE),
    (NotLeading, UNAVAILABLE),
    (ConnectionError, UNAVAILABLE),
    (PaddockError, FAILURE),
)


def exit_code_of(error: BaseException) -> int:
    """The code for an error that ends the command."""
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
