"""Tables, JSON and names."""

from __future__ import annotations

import argparse
import json

import pytest

from paddock.cli.output import Column, Row, add_style_arguments, age, bytes_text, moment, show

COLUMNS = (Column(title="TASK"), Column(title="HOST", wide=True), Column(title="STATE"))
ROWS = (
    Row(name="one", cells=("one", "a", "running"), document='{"task": "one"}'),
    Row(name="longer", cells=("longer", "", "lost\nfor ever"), document='{"task": "longer"}'),
)


def shown(capsys: pytest.CaptureFixture[str], rows: tuple[Row, ...], *words: str) -> str:
    parser = argparse.ArgumentParser()
    add_style_arguments(parser)
    show(COLUMNS, rows, parser.parse_args(words))
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, ROWS) == "TASK    STATE\none     running\nlonger  lost for ever\n"


def test_a_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Anybody may name a task; root looks at the list."""
    row = Row(name="t", cells=("\x1b]0;root\x07\x9b2J", "", "\u202erunning"), document="{}")
    assert shown(capsys, (row,), "--no-headers") == "\\x1b]0;root\\x07\\x9b2J  \\u202erunning\n"


def test_a_wide_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        shown(capsys, ROWS, "-o", "wide") == "TASK    HOST  STATE\none     a     running\nlonger  -     lost for ever\n"
    )


def test_without_headers(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, ROWS[:1], "--no-headers") == "one  running\n"
    assert shown(capsys, (), "--no-headers") == ""
    assert shown(capsys, ()) == "TASK  STATE\n"


def test_json_is_always_an_array(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(shown(capsys, ROWS, "-o", "json")) == [{"task": "one"}, {"task": "longer"}]
    assert json.loads(shown(capsys, (), "-o", "json")) == []


def test_names_are_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, ROWS, "-o", "name") == "one\nlonger\n"


@pytest.mark.parametrize(
    ("ago_s", "text"), [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172_800, "2d")]
)
def test_ages(ago_s: int, text: str) -> None:
    now_ns = 1_800_000_000 * 10**9
    assert age(now_ns - ago_s * 10**9, now_ns) == text


def test_what_never_was_has_no_age() -> None:
    assert age(0, 10**18) == ""
    assert age(10**18, 10**18 - 1) == "0s"
    assert moment(0) == "-"
    assert moment(1_800_000_000_123_000_000) == "2027-01-15T08:00:00.123Z"


@pytest.mark.parametrize(
    ("count", "text"), [(None, "-"), (0, "0 B"), (1536, "1.5 KiB"), (64 << 20, "64 MiB"), (3 << 41, "6 TiB")]
)
def test_sizes_for_people(count: int | None, text: str) -> None:
    assert bytes_text(count) == text
