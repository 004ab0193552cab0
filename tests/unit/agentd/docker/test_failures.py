"""What the engine says, in its own words of several versions, becomes the error that says best what to do."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.docker.calls import error_of, said_in
from agentd.docker.failures import (
    Answer,
    Call,
    ContainerNotRunning,
    EngineAbsent,
    EngineFailure,
    EngineUnresponsive,
    PortInUse,
    PullProblem,
    RemovalUnderWay,
    failure_of,
    pull_failure_of,
)
from agentd.docker.lane import NotAnswered
from agentd.docker.plain_http import HttpError
from agentd.docker.transport import Refusal
from paddock.model.errors import AlreadyExists, InvalidRequest, NotFound, PaddockError, TimedOut, Unavailable

CALL = Call(verb="start", kind="container", name="paddock-a1-c1", socket="/run/docker.sock")


def told(status: int, said: str) -> PaddockError:
    return failure_of(CALL, Answer(status=status, said=said))


@pytest.mark.parametrize(
    ("status", "said", "kind", "name"),
    [
        (404, "No such image: nope:1", "image", "nope:1"),
        (
            404,
            "no such image: r.example/nope:latest: No such image: r.example/nope:latest",
            "image",
            "r.example/nope:latest",
        ),
        (404, "No such container: c1", "container", "c1"),
        (404, "network mine not found", "network", "mine"),
        (404, "No such exec instance: abc", "exec", "abc"),
        (404, "page not found", "container", "paddock-a1-c1"),
    ],
)
def test_what_is_not_there_is_named(status: int, said: str, kind: str, name: str) -> None:
    error = told(status, said)
    assert isinstance(error, NotFound)
    assert (error.kind, error.name) == (kind, name)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_name_that_is_taken_names_whose_it_is(slash: str) -> None:
    foreign = "6d5e" * 16
    said = (
        f'Conflict. The container name "{slash}paddock-a1-c1" is already in use by container "{foreign}". You have to …'
    )
    error = told(409, said)
    assert isinstance(error, AlreadyExists)
    assert error.name == "paddock-a1-c1"
    assert foreign[:12] in str(error)
    assert "remove or rename it" in error.remedy


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (409, "Cannot kill container: c1: Container 8f is not running", ContainerNotRunning),
        (409, "Container 8f is not running", ContainerNotRunning),
        (409, "removal of container c1 is already in progress", RemovalUnderWay),
        (500, "driver failed: Bind for 0.0.0.0:81 failed: port is already allocated", PortInUse),
        (500, "Error starting userland proxy: listen tcp4 0.0.0.0:81: bind: address already in use", PortInUse),
        (400, "invalid mount config for type bind", InvalidRequest),
        (403, "authorization denied by plugin x", EngineFailure),
        (500, "write /var/lib/docker/x: no space left on device", EngineFailure),
        (500, "something new", EngineFailure),
        (418, "", EngineFailure),
    ],
)
def test_each_answer_is_the_error_that_says_it_best(status: int, said: str, expected: type[PaddockError]) -> None:
    error = told(status, said)
    assert type(error) is expected
    assert said in str(error)


def test_a_refusal_says_what_was_tried_with_what_what_the_engine_said_and_what_to_do() -> None:
    assert str(told(500, "port is already allocated")) == (
        "cannot start container paddock-a1-c1: the Docker engine says (500): port is already allocated; "
        "end what has the port, or give the task another one"
    )


@given(st.integers(100, 599), st.text())
def test_any_answer_is_an_error_of_ours_in_one_line_of_bounded_length(status: int, said: str) -> None:
    for error in (told(status, said), pull_failure_of(CALL, said)):
        assert isinstance(error, PaddockError)
        assert "\n" not in str(error).removesuffix("\n")
        assert len(str(error)) < 1100


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("manifest for r:5000/x:9 not found: manifest unknown: manifest unknown", PullProblem.UNKNOWN_IMAGE),
        ("name unknown: repository name not known to registry", PullProblem.UNKNOWN_IMAGE),
        (
            "pull access denied for nope, repository does not exist or may require 'docker login': denied: requested",
            PullProblem.DENIED,
        ),
        ('Head "http://r.example:5000/v2/x/manifests/1": no basic auth credentials', PullProblem.DENIED),
        ("unauthorized: authentication required", PullProblem.DENIED),
        (
            'Get "http://r.example/v2/": net/http: request canceled (Client.Timeout exceeded while awaiting headers)',
            PullProblem.TIMED_OUT,
        ),
        (
            'Get "http://r.example/v2/": dial tcp 127.0.0.1:5009: connect: connection refused',
            PullProblem.REGISTRY_UNREACHABLE,
        ),
        ("dial tcp: lookup r.invalid: no such host", PullProblem.REGISTRY_UNREACHABLE),
        ("failed to register layer: write /x: no space left on device", PullProblem.DISK_FULL),
        ("something new", PullProblem.OTHER),
    ],
)
def test_a_pull_that_fails_tells_where_to_look(said: str, problem: PullProblem) -> None:
    error = pull_failure_of(CALL, said)
    assert error.problem is problem
    assert said in str(error)


@pytest.mark.parametrize(
    ("raised", "expected", "words"),
    [
        (FileNotFoundError(2, "No such file or directory"), EngineAbsent, "start the engine, or name its socket"),
        (ConnectionRefusedError(111, "Connection refused"), EngineAbsent, "does not listen (Connection refused)"),
        (PermissionError(13, "Permission denied"), EngineAbsent, "give agentd access to it"),
        (BlockingIOError(11, "Resource temporarily unavailable"), EngineUnresponsive, "temporarily unavailable"),
        (ConnectionResetError(104, "Connection reset by peer"), EngineUnresponsive, "before its answer was whole"),
        (NotAnswered("did not answer within 3 s"), EngineUnresponsive, "did not answer within 3 s"),
        (json.JSONDecodeError("Expecting value", "<html>", 0), EngineFailure, "does not speak its API"),
        (HttpError("the engine's answer begins with 'SSH'"), EngineFailure, "does not speak its API"),
        (Refusal(500, b'{"message": "no space left"}'), EngineFailure, "no space left"),
        (KeyError("x"), EngineFailure, "KeyError"),
    ],
)
def test_what_the_connection_did_is_told(raised: Exception, expected: type[PaddockError], words: str) -> None:
    error = error_of(CALL, raised)
    assert type(error) is expected
    assert words in str(error)
    assert "container paddock-a1-c1" in str(error)


def test_the_errors_of_reaching_it_are_known_to_every_caller() -> None:
    assert issubclass(EngineUnresponsive, TimedOut)
    assert issubclass(EngineAbsent, Unavailable)


@pytest.mark.parametrize(
    ("body", "said"),
    [(b'{"message": "no"}', "no"), (b"plain", "plain"), (b'{"message": 3}', '{"message": 3}'), (b"\xff", "\ufffd")],
)
def test_the_engines_words_are_found_in_whatever_it_answers(body: bytes, said: str) -> None:
    assert said_in(body) == said


@given(st.binary(max_size=300))
def test_any_body_has_words(body: bytes) -> None:
    assert isinstance(said_in(body), str)
