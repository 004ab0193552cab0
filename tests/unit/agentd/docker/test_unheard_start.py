"""A start that nobody has heard of: what is told for each thing that the engine, the cgroup and waiting signals can say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from agentd.docker import unheard_start
from agentd.docker.arrivals import Arrivals
from agentd.docker.plain_http import HalfAnswer
from agentd.docker.stand_in_order import Order, order_words
from agentd.docker.unheard_start import UnheardStart, failure_of

NEVER = "0001-01-01T00:00:00Z"
CREATED = {"Status": "created", "Running": False, "StartedAt": NEVER}
WHY = failure_of(HalfAnswer("half of it"))


class Quiet:
    """Nothing comes but these signals."""

    def __init__(self, signals: Sequence[int] = ()) -> None:
        self.signals = list(signals)

    def turn(self, sources: Sequence[int], timeout_s: float) -> set[int]:
        return set()


class Scripted:
    """An engine's words, one look after the other; the last ones stay. An exception is raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.look_count = 0

    def __call__(self) -> tuple[int, dict[str, object]]:
        answer = self.answers[min(self.look_count, len(self.answers) - 1)]
        self.look_count += 1
        if isinstance(answer, Exception):
            raise answer
        status, body = cast(tuple[int, dict[str, object]], answer)
        return status, body


def says(**state: object) -> tuple[int, dict[str, object]]:
    return 200, {"State": {**CREATED, **state}}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unheard_start, "PATIENCE_S", 0.2)
    monkeypatch.setattr(unheard_start, "_LOOK_S", 0.2)
    monkeypatch.setattr(unheard_start, "HALF_MADE_S", 0.05)


def settled(directory: Path, engine: Scripted, **fields: Any) -> dict[str, object]:
    """With a socket at which nobody listens."""
    words = order_words(
        socket=f"{directory}/socket",
        api="1.41",
        go="",
        wake="",
        note="",
        reads=[("memory/memory.events", str(directory), "memory.events")],
        has_init=True,
    )
    signals = Quiet(fields.get("signals", ()))
    was_sent = fields.get("was_sent", True)
    start = UnheardStart(
        Order(words),
        "e1",
        cast(Arrivals, signals),
        engine,
        was_sent=was_sent,
        asked_at_s=time.monotonic(),
    )
    return start.settle(WHY)


@pytest.mark.parametrize(
    "state",
    [
        {"Status": "running", "Running": True},
        {"Status": "running", "Running": True, "StartedAt": "2026-11-26T19:33:57Z"},
        {"Status": "exited", "StartedAt": "2026-11-26T19:33:57Z", "ExitCode": 3},
    ],
)
def test_what_the_engine_has_started_is_started(tmp_path: Path, state: dict[str, object]) -> None:
    assert settled(tmp_path, Scripted(ConnectionRefusedError(), says(**state))) == {}


def test_what_it_does_not_have_any_more_is_told_in_its_words(tmp_path: Path) -> None:
    gone = (404, {"message": "No such container: e1"})
    assert settled(tmp_path, Scripted(gone)) == {"status": 404, "message": "No such container: e1"}


def test_what_is_on_its_way_out_was_never_started(tmp_path: Path) -> None:
    told = settled(tmp_path, Scripted(says(Status="removing")))
    assert (told["status"], told["message"]) == (0, "it is removing, says the engine, and was never started")


def test_what_is_half_made_is_waited_for_and_not_started_again(tmp_path: Path) -> None:
    """Nobody listens: whoever asked for a start would wait until his patience ends, and say so."""
    (tmp_path / "e1").mkdir()
    engine = Scripted(says())
    told = settled(tmp_path, engine)
    assert told["status"] == 0
    assert "does not know what has become of that" in str(told["message"])
    assert engine.look_count > 1


def test_what_is_carried_out_meanwhile_is_started(tmp_path: Path) -> None:
    (tmp_path / "e1").mkdir()
    assert settled(tmp_path, Scripted(says(), says(), says(Running=True))) == {}


@pytest.mark.parametrize(
    "answer", [says(), (500, {"message": "not now"}), ConnectionRefusedError(), HalfAnswer("half")]
)
def test_an_engine_that_comes_to_nothing_is_given_up(tmp_path: Path, answer: object) -> None:
    assert settled(tmp_path, Scripted(answer)) == WHY


def test_a_signal_ends_what_is_not_started_without_another_try(tmp_path: Path) -> None:
    engine = Scripted(says())
    assert settled(tmp_path, engine, signals=[15]) == WHY
    assert engine.look_count == 1


def test_of_a_start_that_was_never_sent_nothing_is_asked_when_a_signal_is_there(tmp_path: Path) -> None:
    engine = Scripted(says(Running=True))
    assert settled(tmp_path, engine, signals=[15], was_sent=False) == WHY
    assert engine.look_count == 0


def test_a_signal_waits_while_the_start_may_yet_be(tmp_path: Path) -> None:
    engine = Scripted(ConnectionRefusedError(), ConnectionRefusedError(), says(Running=True))
    assert settled(tmp_path, engine, signals=[15]) == {}
