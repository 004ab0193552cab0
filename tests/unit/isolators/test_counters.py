"""Counters' text: numbers where the kernel wrote numbers, None elsewhere, never an error."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolators.contract import CgroupPlace
from isolators.counters import CounterFiles, DescriptorBudget, Names, byte_limit, integer, read_counters
from paddock.model.launch_plan import CgroupRead
from tests.descriptors import descriptors_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"12\n", 12),
        (b"0", 0),
        (b"max\n", None),
        (b"", None),
        (None, None),
        (b"-1\n", None),
        (b"1 2", None),
        (b"1_2", None),
    ],
)
def test_integer(text: bytes | None, number: int | None) -> None:
    assert integer(text) == number


@given(values=st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), st.integers(0, 2**64 - 1)))
def test_named_numbers_are_found_wherever_they_stand(values: dict[str, int]) -> None:
    text = "".join(f"{name} {value}\n" for name, value in values.items()).encode()
    assert Names.of(*values).numbers(text) == list(values.values())
    assert Names.of("UNKNOWN").numbers(text) == [None]
    assert Names.of("a", "b").numbers(None) == [None, None]


def test_a_name_is_a_whole_one_and_a_number_too() -> None:
    assert Names.of("oom_kill").numbers(b"oom_kill_disable 1\nunder_oom_kill 2\n") == [None]
    assert Names.of("oom_kill", "x").numbers(b"oom_kill many\nx 1 2\n") == [None, None]


@given(text=st.binary() | st.text().map(str.encode), name=st.text(min_size=1))
def test_garbage_is_none_or_a_number(text: bytes, name: str) -> None:
    for value in (*Names.of(name).numbers(text), integer(text)):
        assert value is None or value >= 0


@pytest.mark.parametrize("text", [b"9223372036854771712", b"9223372036854775807", b"9223372036854710272", b"max", None])
def test_no_limit_is_none(text: bytes | None) -> None:
    assert byte_limit(integer(text)) is None


def read(directory: Path, *files: str) -> tuple[dict[str, bytes], str]:
    place = CgroupPlace(mode="v1", directories=(("cpu", str(directory)),))
    return read_counters(place, [CgroupRead(controller="cpu", file=file) for file in files])


def test_a_file_that_this_kernel_lacks_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\n", encoding="ascii")
    assert read(tmp_path, "a", "b") == ({"cpu/a": b"1\n"}, "")


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

    def kept_count() -> int:
        return sum(name.startswith(str(tmp_path)) for name in descriptors_of(os.getpid()).values())

    for number in "1", "2":  # what is kept open is read anew
        for read in reads:
            (tmp_path / read.file).write_text(number, encoding="ascii")
        assert files.read() == (dict.fromkeys(("cpu/a", "cpu/b", "cpu/c"), number.encode()), "")
        assert (budget.left_count, kept_count()) == (0, 2)
    files.close()
    files.close()
    assert (budget.left_count, kept_count()) == (2, 0)


def test_what_this_kernel_lacks_is_looked_for_once(tmp_path: Path) -> None:
    place = CgroupPlace(mode="v1", directories=(("cpu", str(tmp_path)),))
    (tmp_path / "a").write_text("1\n", encoding="ascii")
    absent: set[str] = set()
    files = CounterFiles(
        place, [CgroupRead(controller="cpu", file=file) for file in ("a", "b")], DescriptorBudget(1), absent
    )
    assert [files.read() for _ in range(3)] == [({"cpu/a": b"1\n"}, "")] * 3
    assert absent == {"cpu/b"}
    (tmp_path / "b").write_text("2\n", encoding="ascii")
    assert files.read() == ({"cpu/a": b"1\n"}, "")
    files.close()


def test_each_isolator_may_keep_the_files_of_as_many_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _which: (20_000, 20_000))
    assert [DescriptorBudget.for_statistics(count).left_count for count in (1, 5)] == [1_000, 5_000]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert read(tmp_path, "a") == ({}, f"read {tmp_path}/a: Is a directory")
