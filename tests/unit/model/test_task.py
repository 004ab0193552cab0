"""States, reasons and commands."""

from collections.abc import Iterable
from pathlib import Path

from paddock.model.errors import InvalidRequest, PaddockError
from paddock.model.task import CommandInfo, Reason, TaskState
from paddock.wire.v1 import tasks_pb2


def test_which_states_are_the_last() -> None:
    alive = {state.name for state in TaskState if not state.is_terminal}
    assert alive == {"STAGING", "STARTING", "RUNNING", "KILLING", "UNREACHABLE", "UNKNOWN"}


def numbers(pairs: Iterable[tuple[str, int]], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in pairs if not name.endswith("UNSPECIFIED")}


def test_the_numbers_are_the_wires() -> None:
    assert numbers(((s.name, s.value) for s in TaskState), "") == numbers(tasks_pb2.TaskState.items(), "TASK_")
    assert numbers(((r.name, r.value) for r in Reason), "") == numbers(tasks_pb2.Reason.items(), "REASON_")


def test_what_execve_gets() -> None:
    assert CommandInfo(shell=True, value="echo a").argv == ("/bin/sh", "-c", "echo a")
    assert CommandInfo(arguments=("/bin/echo", "a")).argv == ("/bin/echo", "a")


def test_a_long_value_is_cut_in_an_error() -> None:
    error = InvalidRequest("field", "x" * 100_000, "use less")
    assert isinstance(error, PaddockError)
    assert len(str(error)) < 200


def test_every_reason_is_explained() -> None:
    page = (Path(__file__).parents[3] / "docs/reasons.md").read_text(encoding="utf-8")
    for reason in Reason:
        assert f"| {reason.value} | `REASON_{reason.name}` | " in page
