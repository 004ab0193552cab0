"""What a launch stopped at when the engine or a registry said no: one table from their errors to a task's evidence."""

from __future__ import annotations

import errno
import re

from agentd.docker.failures import EngineAbsent, EngineUnresponsive, PullFailed, PullProblem
from agentd.docker.notes import Note
from paddock.model.errors import NotFound, PaddockError
from paddock.model.task import LaunchFailure

IMAGE = "image"
ACCESS = "access"
PULL = "pull"
ENGINE = "engine"
CREATE = "create"
"""Everything else that an engine refuses: a name or a port that is taken, a network that is not there."""

_OF_THE_PROGRAM = (
    (re.compile(r'exec: ".*": .*(no such file or directory|executable file not found)'), errno.ENOENT),
    (re.compile(r'exec: ".*": permission denied'), errno.EACCES),
)
"""Of a runtime whose container has no such program. (An init finds that out by itself, and ends with 127 or 126.)"""

_REMEDIES = (
    (
        re.compile("port is already allocated|address already in use"),
        "end what has the port, or give the task another one",
    ),
    (re.compile(r"network \S+ not found"), "name one that the engine has (`docker network ls` on the agent's host)"),
    (re.compile("no space left on device"), "free space where the engine keeps its data"),
    (re.compile("adding custom device"), "name a device that the agent's host has"),
    (re.compile("setting rlimit"), "ask for no more than the engine has itself"),
)

_PULL_STAGES = {PullProblem.UNKNOWN_IMAGE: IMAGE, PullProblem.DENIED: ACCESS}


def launch_failure_of(error: PaddockError | OSError) -> LaunchFailure:
    """Its stage decides the task's reason (agentd.core.termination)."""
    match error:
        case PullFailed():
            stage = _PULL_STAGES.get(error.problem, PULL)
        case NotFound() if error.kind == "image":
            stage = IMAGE
        case EngineUnresponsive() | EngineAbsent():
            stage = ENGINE
        case _:
            stage = CREATE
    return LaunchFailure(stage=stage, message=str(error))


def start_failure_of(note: Note | None) -> LaunchFailure | None:
    """What its stand-in, or the agent in its place, has said; None: it has not said that there was a failure."""
    if note is None or note.failed is None:
        return None
    if note.failed_stage:
        return LaunchFailure(stage=note.failed_stage, message=note.failed)
    if not note.failed_status:
        return LaunchFailure(
            stage=ENGINE, message=f"the engine has not told of its start: {note.failed or 'no answer'}"
        )
    words = f"the engine could not start it: {note.failed or 'it gave no reason'}"
    for said, number in _OF_THE_PROGRAM:
        if said.search(note.failed):
            return LaunchFailure(stage="exec", errno=number, message=words)
    remedy = next((remedy for said, remedy in _REMEDIES if said.search(note.failed)), "see the engine's log")
    return LaunchFailure(stage="start", message=f"{words}; {remedy}")
