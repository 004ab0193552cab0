"""Each error of an engine or a registry ends a launch with the reason that says whose it was."""

from __future__ import annotations

import errno

import pytest

from agentd.core.termination import EndFacts, terminate
from agentd.docker.failures import (
    Answer,
    Call,
    EngineFailure,
    PullFailed,
    PullProblem,
    absent,
    failure_of,
    pull_failure_of,
    unresponsive,
)
from agentd.docker.launch_failures import launch_failure_of, start_failure_of
from agentd.docker.notes import Note
from paddock.model.errors import InvalidRequest, PaddockError
from paddock.model.task import Reason, TaskState

PULLED = Call(verb="pull", kind="image", name="r.example/a:1", socket="/run/docker.sock")
CREATED = Call(verb="create", kind="container", name="paddock-a1-c1", socket="/run/docker.sock")


@pytest.mark.parametrize(
    ("error", "stage", "reason"),
    [
        (pull_failure_of(PULLED, "manifest unknown"), "image", Reason.IMAGE_NOT_FOUND),
        (failure_of(CREATED, Answer(status=404, said="No such image: r.example/a:1")), "image", Reason.IMAGE_NOT_FOUND),
        (pull_failure_of(PULLED, "no basic auth credentials"), "access", Reason.IMAGE_ACCESS_DENIED),
        (pull_failure_of(PULLED, "connection refused"), "pull", Reason.IMAGE_PULL_FAILED),
        (pull_failure_of(PULLED, "no space left on device"), "pull", Reason.IMAGE_PULL_FAILED),
        (PullFailed("it took longer than 900 s", PullProblem.TIMED_OUT), "pull", Reason.IMAGE_PULL_FAILED),
        (unresponsive(CREATED, "did not answer within 10 s"), "engine", Reason.ENGINE_UNRESPONSIVE),
        (absent(CREATED, "does not listen"), "engine", Reason.ENGINE_UNRESPONSIVE),
        (
            failure_of(CREATED, Answer(status=404, said="network blue not found")),
            "create",
            Reason.CONTAINER_LAUNCH_FAILED,
        ),
        (InvalidRequest("create container", "x", "no"), "create", Reason.CONTAINER_LAUNCH_FAILED),
        (EngineFailure("the engine says (500)"), "create", Reason.CONTAINER_LAUNCH_FAILED),
    ],
)
def test_whose_it_was_is_the_tasks_reason(error: PaddockError, stage: str, reason: Reason) -> None:
    failure = launch_failure_of(error)
    assert (failure.stage, failure.message) == (stage, str(error))
    ended = terminate(EndFacts(record=None, failure=failure))
    assert (ended.state, ended.reason) == (TaskState.FAILED, reason)
    assert str(error) in ended.message


def test_every_problem_of_a_pull_has_a_reason_of_its_own() -> None:
    stages = {launch_failure_of(PullFailed("x", problem)).stage for problem in PullProblem}
    assert stages == {"image", "access", "pull"}


@pytest.mark.parametrize(
    ("note", "stage", "words"),
    [
        (
            Note(failed="no cgroup", failed_status=500),
            "start",
            "the engine could not start it: no cgroup; see the engine's",
        ),
        (
            Note(failed="Bind for 0.0.0.0:80 failed: port is already allocated", failed_status=500),
            "start",
            "; end what",
        ),
        (Note(failed="network blue not found", failed_status=404), "start", "network blue not found; name one"),
        (Note(failed="", failed_status=500), "start", "it gave no reason"),
        (
            Note(failed="HalfAnswer: half", failed_status=0),
            "engine",
            "the engine has not told of its start: HalfAnswer: half",
        ),
        (Note(failed="no such image", failed_stage="image"), "image", "no such image"),
    ],
)
def test_a_start_that_failed_is_the_engines_word_or_its_silence(note: Note, stage: str, words: str) -> None:
    failure = start_failure_of(note)
    assert failure is not None
    assert failure.stage == stage
    assert words in failure.message


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ('exec: "/no/such": stat /no/such: no such file or directory: unknown', errno.ENOENT),
        ('exec: "no-such": executable file not found in $PATH: unknown', errno.ENOENT),
        ('exec: "/etc": permission denied: unknown', errno.EACCES),
    ],
)
def test_a_program_that_is_not_there_is_told_as_a_native_ones(said: str, number: int) -> None:
    """By the command's exit codes 127 and 126, too."""
    runc = "OCI runtime create failed: runc create failed: unable to start container process"
    failure = start_failure_of(Note(failed=f"{runc}: {said}", failed_status=400))
    assert failure is not None
    assert (failure.stage, failure.errno) == ("exec", number)
    assert said in failure.message


@pytest.mark.parametrize("note", [None, Note(pid=3), Note(has_ended=True)])
def test_what_was_started_is_no_failure(note: Note | None) -> None:
    assert start_failure_of(note) is None
