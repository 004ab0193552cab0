"""Counters' text: numbers where the kernel wrote numbers, None elsewhere, never an error."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolators.contract import CgroupPlace
from isolators.counters import CounterFiles, DescriptorBudget, byte_limit, first, integer, picked, read_counters
from paddock.model.launch_plan import CgroupRead


@pytest.mark.parametrize(
    ("text", "number"),
    [("12\n", 12), ("0", 0), ("max\n", None), ("", None), (None, None), ("-1\n", None), ("1 2", None), ("²", None)],
)
def test_integer(text: str | None, number: int | None) -> None:
    assert integer(text) == number


@given(values=st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), st.integers(0, 2**64 - 1)))
def test_named_numbers_are_found_wherever_they_stand(values: dict[str, int]) -> None:
    text = "".join(f"{name} {value}\n" for name, value in values.items())
    assert picked(text, *values) == list(values.values())
    assert picked(text, "UNKNOWN") == [None]
    assert picked(None, "a") == [None]


def test_a_name_is_a_whole_one_and_a_number_too() -> None:
    assert picked("oom_kill_disable 1\nunder_oom_kill 2\n", "oom_kill") == [None]
    assert picked("oom_kill many\nx 1 2\n", "oom_kill", "x") == [None, None]


@given(text=st.text(), name=st.text(min_size=1))
def test_garbage_is_none_or_a_number(text: str, name: str) -> None:
    for value in (*picked(text, name), integer(text)):
        assert value is None or value >= 0


def test_the_first_name_that_is_there() -> None:
    assert first({"a/x": "garbage", "b/y": "3\n"}, "a/x", "b/y") == 3
    assert first({}, "a/x") is None


@pytest.mark.parametrize("text", ["9223372036854771712", "9223372036854775807", "9223372036854710272", "max"])
def test_no_limit_is_none(text: str) -> None:
    assert byte_limit({"memory/limit": text}, "memory/limit") is None


def read(directory: Path, *files: str) -> tuple[dict[str, str], str]:
    place = CgroupPlace(mode="v1", directories=(("cpu", str(directory)),))
    return read_counters(place, [CgroupRead(controller="cpu", file=file) for file in files])


def test_a_file_that_this_kernel_lacks_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\n", encoding="ascii")
    assert read(tmp_path, "a", "b") == ({"cpu/a": "1\n"}, "")


def test_a_cgroup_that_is_gone_is_named(tmp_path: Path) -> None:
    counters, problem = read(tmp_path / "gone", "a", "b")
    assert counters == {}
    assert problem == f"the cgroup of {tmp_path}/gone/a is not there: No such file or directory"


def test_a_hierarchy_that_the_container_was_not_started_in_is_named(tmp_path: Path) -> None:
    place = CgroupPlace(mode="v1", directories=(("cpu", str(tmp_path)),))
    assert read_counters(place, [CgroupRead(controller="memory", file="x")])[1].endswith("without a memory cgroup")


def test_no_more_is_kept_open_than_the_budget_lets_and_all_is_given_back(tmp_path: Path) -> None:
    place = CgroupPlace(mode="v1", directories=(("cpu", str(tmp_path)),))
    reads = [CgroupRead(controller="cpu", file=file) for file in ("a", "b", "c")]
    for read in reads:
        (tmp_path / read.file).write_text("1\n", encoding="ascii")
    budget = DescriptorBudget(2)
    files = CounterFiles(place, reads, budget)
    before = len(os.listdir("/proc/self/fd"))
    for number in "1", "2":  # what is kept open is read anew
        for read in reads:
            (tmp_path / read.file).write_text(number, encoding="ascii")
        assert files.read() == ({"cpu/a": number, "cpu/b": number, "cpu/c": number}, "")
        assert (budget.left_count, len(os.listdir("/proc/self/fd")) - before) == (0, 2)
    files.close()
    files.close()
    assert (budget.left_count, len(os.listdir("/proc/self/fd")) - before) == (2, 0)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert read(tmp_path, "a") == ({}, f"read {tmp_path}/a: Is a directory")
