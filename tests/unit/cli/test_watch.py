"""`--watch`: what is printed of what a stream says, each change once, also over a connection that was lost."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.cli import agents, frameworks, offers, ps, roles
from paddock.cli.output import Column, Row
from paddock.cli.watch import Follower, Lines, Watched
from paddock.model.errors import Unavailable
from paddock.rpc.clients.watches import Stream, WatchClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    name: str
    value: str

    @property
    def document(self) -> str:
        return json.dumps({"value": self.value})


def nothing(_: WatchClient) -> Stream[Thing]:
    raise AssertionError("the test speaks for the stream")


def row_of(view: Thing, now_ns: int) -> Row:
    return Row(name=view.name, cells=(view.name, view.value, "wide"), document=view.document)


WATCHED: Watched[Thing] = Watched(
    verb="things",
    columns=(Column(title="NAME"), Column(title="VALUE"), Column(title="MORE", wide=True)),
    stream=nothing,
    row_of=row_of,
    order=lambda thing: thing.value,
    is_hidden=lambda thing: thing.value == "ended",
)


def follower(kind: Watched[Thing] = WATCHED, *, output: str = "table", no_headers: bool = False) -> Follower[Thing]:
    lines = Lines(kind.columns, argparse.Namespace(output=output, no_headers=no_headers))
    return Follower(kind, lines)


def see(watching: Follower[Thing], **things: str | None) -> None:
    for name, value in things.items():
        watching.see((name, None if value is None else Thing(name=name, value=value)))


def begin(watching: Follower[Thing], *, epoch: int = 1, **things: str | None) -> None:
    watching.connected(epoch)
    see(watching, **things)
    watching.see(None)


def test_what_is_comes_in_order_then_each_change_in_line(capsys: pytest.CaptureFixture[str]) -> None:
    watching = follower()
    watching.connected(1)
    see(watching, b="1", a="2", gone="3", old="ended")
    see(watching, gone=None)
    watching.see(None)
    assert capsys.readouterr().out == "CHANGE  NAME  VALUE\nthere   b     1\nthere   a     2\n"
    see(watching, a="2", b="longer", c="1", old="ended")
    see(watching, b=None, nobody=None, c="ended")
    assert capsys.readouterr().out == (
        "changed  b     longer\nnew      c     1\ngone     b     longer\nchanged  c     ended\n"
    )


def test_an_empty_list_has_its_header_and_none_when_none_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    begin(follower(output="wide"))
    assert capsys.readouterr().out == "CHANGE  NAME  VALUE  MORE\n"
    begin(follower(no_headers=True))
    assert capsys.readouterr().out == ""


def test_json_is_one_object_in_each_line_and_names_are_names(capsys: pytest.CaptureFixture[str]) -> None:
    watching = follower(output="json")
    begin(watching, a="1")
    see(watching, a=None)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told == [
        {"change": "there", "name": "a", "now": {"value": "1"}},
        {"change": "gone", "name": "a", "now": {"value": "1"}},
    ]
    begin(follower(output="name"), a="1", b="0")
    assert capsys.readouterr().out == "b\na\n"


def test_a_restart_is_said_once_and_only_what_differs_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    watching = follower(no_headers=True)
    begin(watching, a="1", b="1", c="1")
    capsys.readouterr()
    watching.lost(Unavailable("refused"))
    watching.lost(Unavailable("refused"))
    begin(watching, epoch=2, a="1", b="2", d="1")
    captured = capsys.readouterr()
    assert sorted(line.split() for line in captured.out.splitlines()) == [
        ["changed", "b", "2"],
        ["gone", "c", "1"],
        ["new", "d", "1"],
    ]
    assert captured.err == (
        "paddock things: no connection to the master, waiting for it: refused\n"
        "paddock things: the master has started again (epoch 2); what has changed meanwhile comes next\n"
    )
    watching.lost(Unavailable("refused"))
    begin(watching, epoch=2, a="1", b="2", d="1")
    captured = capsys.readouterr()
    assert (captured.out, "connected again" in captured.err) == ("", True)


def test_what_may_come_late_is_not_said_to_be_gone(capsys: pytest.CaptureFixture[str]) -> None:
    watching = follower(replace(WATCHED, may_come_late=True), no_headers=True)
    begin(watching, a="1", b="1")
    begin(watching, epoch=2)
    see(watching, a="1", b="2")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["there", "there", "changed"]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from("12")), min_size=1, max_size=6))
def test_whoever_reads_it_knows_what_is(lives: list[dict[str, str]]) -> None:
    printed: list[tuple[str, Row]] = []

    class Kept(Lines):
        def show(self, changes: object) -> None:
            printed.extend(changes)  # type: ignore[arg-type]

    watching = Follower(WATCHED, Kept(WATCHED.columns, argparse.Namespace(output="table", no_headers=True)))
    mine: dict[str, str] = {}
    for epoch, life in enumerate(lives):
        printed.clear()
        begin(watching, epoch=epoch, **life)
        for change, row in printed:
            assert (change in {"new", "there"}) == (row.name not in mine)
            if change == "gone":
                del mine[row.name]
            else:
                assert mine.get(row.name) != row.cells[1]
                mine[row.name] = row.cells[1]
        assert mine == life


@pytest.mark.parametrize("verb", [agents, frameworks, offers, ps, roles])
def test_each_list_can_be_watched(verb: object) -> None:
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)  # type: ignore[attr-defined]
    assert parser.parse_args(["-w"]).watch
    assert not parser.parse_args([]).watch
