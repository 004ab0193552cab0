"""The demonstration's table and verdicts, without a cluster."""

from __future__ import annotations

from examples.demonstration.__main__ import ROWS, keep_words
from examples.demonstration.row import Seen, judge
from examples.demonstration.rows_processes import _is_still_init
from examples.demonstration.table import Line, render, verdict
from testbed.one_host import OneHost


def test_a_row_that_is_not_as_expected_cannot_be_overlooked() -> None:
    text = render([Line(row=ROWS[0], seen=Seen(text="nothing", as_expected=False))], 140)
    assert "NOT" in text
    assert "NOT" not in render([Line(row=ROWS[0], seen=Seen(text="all", as_expected=True))], 140)
    assert verdict(Seen(text="", as_expected=True)) == "as expected"


def test_the_table_fits_the_terminal_and_loses_no_word() -> None:
    lines = [Line(row=row, seen=Seen(text="word " * 60 + "last", as_expected=True)) for row in ROWS]
    for width in (40, 100, 200):
        text = render(lines, width)
        assert max(map(len, text.splitlines())) <= max(width, 100)
        assert text.count("last") == len(ROWS)


def test_the_failed_checks_are_named() -> None:
    assert judge({"a": True, "b": True}) == (True, "")
    assert judge({"a": False, "b": True, "c": False}) == (False, " — NOT: a, c")


def test_a_host_program_behind_pid_1_is_seen() -> None:
    ours = "400000-401000 r-xp 00000000 00:01 7 /memfd:paddock-init (deleted)\n7ff0-7ff1 rw-p 0 0:0 0 [stack]\n"
    assert _is_still_init(ours)
    assert not _is_still_init(ours + "55aa-55ab r-xp 0 8:1 9 /usr/lib/systemd/systemd\n")


def test_kept_it_names_the_address_and_the_stop() -> None:
    words = keep_words(OneHost("/tmp/paddock-one-host-x"))
    assert "export PADDOCK_MASTER=unix:/tmp/paddock-one-host-x/masterd.sock" in words
    assert words.rstrip().endswith("-m testbed.one_host stop /tmp/paddock-one-host-x")
