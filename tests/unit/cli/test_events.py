"""`paddock events`: what is different, of what was asked for, a line each; what was there before is no event."""

from __future__ import annotations

import argparse
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.cli.events import EventLines, Printer, Wanted, add_arguments, followers_of
from paddock.cli.output import Column, Row

COLUMNS = (
    Column(title="TASK"),
    Column(title="STATE"),
    Column(title="AGE"),
    Column(title="OFFERED"),
    Column(title="REASON", wide=True),
)


def lines_of(output: str = "table", *, no_headers: bool = True) -> EventLines:
    return EventLines("task", COLUMNS, Printer(argparse.Namespace(output=output, no_headers=no_headers)))


def row(name: str, state: str, *, age: str = "1s", reason: str = "", offered: str = "", framework: str = "f") -> Row:
    return Row(
        name=name,
        cells=(name, state, age, offered, reason),
        document=json.dumps({"framework_id": framework, "state": state}),
    )


def told(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """Without the time."""
    return [line.split()[1:] for line in capsys.readouterr().out.splitlines()]


def test_what_is_different_is_told_and_what_was_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of()
    lines.show([("there", row("t1", "staging"))])
    assert told(capsys) == []
    lines.show([("changed", row("t1", "running", age="9s")), ("new", row("t2", "staging", reason="r"))])
    lines.show([("changed", row("t1", "running", age="10s", offered="cpus:1"))])
    lines.show([("changed", row("t1", "failed", reason="command_exited")), ("gone", row("t2", "staging"))])
    assert told(capsys) == [
        ["task", "changed", "t1", "state=staging→running"],
        ["task", "new", "t2", "state=staging"],
        ["task", "changed", "t1", "state=running→failed", "reason=-→command_exited"],
        ["task", "gone", "t2"],
    ]


def test_what_a_column_tells_is_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(argparse.Namespace(output="table", no_headers=True))
    lines = EventLines("framework", (Column(title="FRAMEWORK"), Column(title="MEM MiB")), printer)
    lines.show([])
    lines.show([("new", Row(name="f", cells=("f", "64"), document="{}"))])
    lines.show([("changed", Row(name="f", cells=("f", "96"), document="{}"))])
    assert told(capsys) == [["framework", "new", "f", "mem_mib=64"], ["framework", "changed", "f", "mem_mib=64→96"]]


def test_all_of_what_is_new_with_wide_and_a_header_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of("wide", no_headers=False)
    assert capsys.readouterr().out == ""
    lines.show([])
    lines.show([("new", row("t1", "staging", reason="r"))])
    lines.show([("new", row("t2", "staging"))])
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["TIME", "KIND", "CHANGE", "NAME", "WHAT"]
    assert first.endswith("state=staging reason=r")
    assert second.endswith("state=staging")


def test_the_header_comes_when_each_kind_has_begun(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(argparse.Namespace(output="table", no_headers=False))
    first, second = EventLines("task", COLUMNS, printer), EventLines("agent", COLUMNS, printer)
    first.show([])
    assert capsys.readouterr().out == ""
    second.show([])
    first.show([])
    assert capsys.readouterr().out.split() == ["TIME", "KIND", "CHANGE", "NAME", "WHAT"]


def test_programs_get_every_event_as_a_whole(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of("json")
    lines.show([("there", row("t1", "staging")), ("changed", row("t1", "staging", age="9s"))])
    (event,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert event.pop("time").endswith("Z")
    assert event == {
        "kind": "task",
        "change": "changed",
        "name": "t1",
        "now": {"framework_id": "f", "state": "staging"},
    }
    lines_of("name").show([("new", row("t1", "staging"))])
    assert capsys.readouterr().out == "task/t1\n"


def test_two_frameworks_may_use_the_same_id(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of()
    lines.show([("there", row("t1", "staging", framework="f")), ("there", row("t1", "killing", framework="g"))])
    lines.show([("changed", row("t1", "running", framework="f"))])
    assert told(capsys) == [["task", "changed", "t1", "state=staging→running"]]


@given(st.text(max_size=30))
def test_a_strangers_name_steers_no_terminal(name: str) -> None:
    capture: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout.write", capture.append)
        patch.setattr("sys.stdout.flush", lambda: None)
        lines_of().show([("new", row(name, name))])
    (line,) = capture
    assert line.endswith("\n")
    assert line[:-1].isprintable()


def test_ids_may_be_beginnings_and_what_is_about_nothing_of_it_is_left_out() -> None:
    thing = {"task": "web-1", "framework_ids": ("f-17",), "agents": ("a1b2", "host-3"), "roles": ("prod/web",)}
    assert Wanted().is_about()
    for wanted in (
        Wanted(task="web"), Wanted(framework="f-1"), Wanted(agent="a1"), Wanted(agent="host-3"), Wanted(role="prod/web"),
        Wanted(task="web-1", framework="f-17", agent="a1b2", role="prod/web"),
    ):  # fmt: skip
        assert wanted.is_about(**thing)  # type: ignore[arg-type]
        assert not wanted.is_about()
    for wanted in (Wanted(task="eb"), Wanted(framework="g"), Wanted(agent="b"), Wanted(role="prod")):
        assert not wanted.is_about(**thing)  # type: ignore[arg-type]


def test_kinds_are_chosen_by_name_and_a_wrong_one_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(["--kind=tasks,offer"])
    assert arguments.kind == ("task", "offer")
    printer = Printer(argparse.Namespace(output="table", no_headers=True))
    assert len(followers_of(Wanted(kinds=arguments.kind), printer)) == 2
    assert len(followers_of(Wanted(), printer)) == 5
    with pytest.raises(SystemExit):
        parser.parse_args(["--kind=pods"])
    assert "'pod' is none of task, agent, framework, offer, role" in capsys.readouterr().err
