"""What people write on the command line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.cli.quantities import (
    count_or_none,
    counted,
    duration_ms,
    environment_variables,
    signal_name,
    signal_number,
    size_bytes,
    size_or_none_bytes,
)
from paddock.model.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("5", 5000),
        ("2.5", 2500),
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
    ],
)
def test_durations(text: str, expected: int) -> None:
    assert duration_ms(text, "--grace") == expected


@pytest.mark.parametrize("text", ["", "-1", "1y", "s", "1e3", "nan", "inf", "1 h", "4000d", "１s"])
def test_other_durations_are_refused_by_the_flag(text: str) -> None:
    with pytest.raises(InvalidRequest, match="^--grace: "):
        duration_ms(text, "--grace")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("64", 64 << 20), ("64MiB", 64 << 20), ("2GiB", 2 << 30), ("0.5", 1 << 19), ("32KiB", 31 << 10)],
)
def test_sizes(text: str, expected: int) -> None:
    # Three decimals of a MiB are kept: 32 KiB is 0.031 MiB.
    assert abs(size_bytes(text, "--swap") - expected) < 1 << 10


@pytest.mark.parametrize("text", ["-1", "64MB", "nan", "inf", "", "1e99", "64 64"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="^--swap: "):
        size_or_none_bytes(text, "--swap")


def test_none_is_no_limit() -> None:
    assert size_or_none_bytes("none", "--memory-limit") == -1
    assert count_or_none("none", "--pids") == -1
    assert count_or_none("64", "--pids") == 64


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "10000000000"])
def test_other_counts_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="^--pids: "):
        count_or_none(text, "--pids")


@pytest.mark.parametrize(("text", "expected"), [("TERM", 15), ("sigint", 2), ("9", 9), ("SIGKILL", 9), ("64", 64)])
def test_signals(text: str, expected: int) -> None:
    assert signal_number(text, "--signal") == expected


@pytest.mark.parametrize("text", ["", "0", "65", "-9", "SIGNOTHING", "9.0"])
def test_other_signals_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="^--signal: "):
        signal_number(text, "--signal")


def test_a_signal_has_a_name() -> None:
    assert signal_name(15) == "SIGTERM"
    assert signal_name(40) == "signal 40"


def test_one_is_not_many() -> None:
    assert [counted(count, "task") for count in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]


def test_environment_variables() -> None:
    assert environment_variables(["B=b=c", "A="], "--env") == (("B", "b=c"), ("A", ""))
    for text in ("A", "=b", "", "A=\0", "B=1"):
        with pytest.raises(InvalidRequest, match="^--env: "):
            environment_variables(["B=", text], "--env")


@given(st.text(max_size=30))
def test_garbage_is_refused_by_name_or_understood(text: str) -> None:
    for parse in (duration_ms, size_or_none_bytes, count_or_none, signal_number):
        refused = refusal(parse, text)
        assert refused in {None, "--flag"}


def refusal(parse: Callable[[str, str], object], text: str) -> str | None:
    try:
        parse(text, "--flag")
    except InvalidRequest as error:
        return error.field
    return None
