"""A reader of a log's files beside the shim's own writer, in any order, with a task that interferes. Real files and marks."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.log_files import LogFiles, LogReader, read_mark, tail_position
from paddock.launch.log_rotation import Rotation
from paddock.launch.logs import LogPump
from paddock.model.errors import InvalidRequest, NotFound

pytestmark = pytest.mark.no_cgroups

LIMIT = 20_000
NULL = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)


class Writer:
    """A command and its shim: what is written is in the log when `write` returns."""

    def __init__(self, directory: str, count: int = 3, limit: int = LIMIT) -> None:
        self.directory = Path(directory)
        self.content = b""
        file_fd = os.open(self.directory / "stdout", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self.read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.pump = LogPump(self.read_fd, file_fd, Rotation(directory, "stdout", limit, count))
        self.count = count

    def write(self, content: bytes) -> None:
        for begin in range(0, len(content), 30_000):
            os.write(self.write_fd, content[begin : begin + 30_000])
            self.pump.pump(NULL)
        self.content += content

    def reader(self, position: int | None = None) -> LogReader:
        return LogReader(LogFiles(str(self.directory), "stdout", self.count), position)

    def close(self) -> None:
        os.close(self.write_fd)
        self.pump.close()


@contextmanager
def writing(count: int = 3, limit: int = LIMIT) -> Iterator[Writer]:
    with tempfile.TemporaryDirectory() as directory, closing(Writer(directory, count, limit)) as writer:
        yield writer


def rest(reader: LogReader) -> tuple[bytes, int]:
    content, lost = b"", 0
    while (piece := reader.read()) is not None:
        content += piece.content
        lost += piece.lost_bytes
    return content, lost


def some_bytes(count: int, seed: int) -> bytes:
    """Without NUL."""
    return bytes(random.Random(seed).choices(range(1, 256), k=count))


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["write", "read", "reconnect", "rename", "remove", "replace"]), st.integers(1, 25_000)
        ),
        max_size=25,
    )
)
@settings(max_examples=150, deadline=None)
def test_in_any_order_each_byte_comes_once_or_is_told_as_lost(steps: list[tuple[str, int]]) -> None:
    with writing() as writer:
        follower = Follower(writer)
        for number, (what, count) in enumerate([*steps, ("write", 1), ("read", 10**9)]):
            if what == "write":
                writer.write(some_bytes(count, number))
            elif what == "read":
                follower.read(count)
            elif what == "reconnect":
                follower.connect()
            else:
                interfere(writer.directory / "stdout", what, number)
        follower.reader.close()
        done = {what for what, _ in steps}
        if not done & {"rename", "remove", "replace"}:
            assert follower.position == len(writer.content)
        # A file of the task's own in the log's place, before there ever was a rotation, is what the task says that its log is.
        if "replace" not in done:
            for begin, content in follower.found:
                assert writer.content[begin : begin + len(content)] == content


class Follower:
    """Checks on its way that no byte comes twice, and that the losses that it is told make up the difference."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.reader = writer.reader(0)
        self.position = 0
        self.found: list[tuple[int, bytes]] = []

    def connect(self) -> None:
        self.reader.close()
        self.reader = self.writer.reader(self.position)

    def read(self, count: int) -> None:
        while count > 0:
            try:
                piece = self.reader.read(min(count, 7_000))
            except (NotFound, InvalidRequest):
                return  # the task has taken all of it away
            if piece is None:
                return
            assert piece.position == self.position + piece.lost_bytes
            self.position = piece.position + len(piece.content)
            count -= len(piece.content)
            self.found.append((piece.position, piece.content))


def interfere(active: Path, what: str, number: int) -> None:
    if what == "rename" and active.exists():
        active.rename(active.with_name(f"moved-{number}"))
    elif what == "remove":
        active.unlink(missing_ok=True)
    elif what == "replace":
        active.unlink(missing_ok=True)
        active.write_bytes(b"\xff" * number)


def test_a_follower_is_not_misled_by_a_file_in_the_active_place() -> None:
    with writing() as writer, closing(writer.reader(0)) as reader:
        writer.write(some_bytes(LIMIT + 5, 1))
        assert rest(reader) == (writer.content, 0)
        (writer.directory / "stdout").unlink()
        (writer.directory / "stdout").write_bytes(b"not the shim's")
        writer.write(some_bytes(100, 2))
        assert rest(reader) == (writer.content[LIMIT + 5 :], 0)
        assert reader.is_moved()


def test_what_was_rotated_away_is_counted() -> None:
    with writing(count=2) as writer, closing(writer.reader(0)) as reader:
        writer.write(some_bytes(4 * LIMIT + 1, 1))
        assert rest(reader) == (writer.content[3 * LIMIT :], 3 * LIMIT)


def test_without_a_position_it_begins_with_the_oldest_that_is_there() -> None:
    with writing(count=2) as writer, closing(writer.reader()) as reader:
        writer.write(some_bytes(4 * LIMIT + 1, 1))
        assert rest(reader) == (writer.content[3 * LIMIT :], 0)


@pytest.mark.parametrize("has_read", [True, False])
def test_a_task_that_cuts_its_log_gets_no_zeros_from_us(has_read: bool) -> None:
    with writing(limit=10**6) as writer, closing(writer.reader(0)) as reader:
        writer.write(some_bytes(10_000, 1))
        if has_read:
            assert rest(reader) == (writer.content, 0)
        os.truncate(writer.directory / "stdout", 0)
        assert rest(reader) == (b"", 0)
        writer.write(some_bytes(50_000, 2))
        content, lost = rest(reader)
        assert content == writer.content[10_000:]
        assert lost == (0 if has_read else 10_000)


def test_a_log_that_is_cut_in_the_middle_keeps_its_beginning() -> None:
    with writing(limit=10**6) as writer, closing(writer.reader(0)) as reader:
        writer.write(some_bytes(30_000, 1))
        os.truncate(writer.directory / "stdout", 5_000)
        writer.write(some_bytes(100, 2))
        content, lost = rest(reader)
        assert content == writer.content[:5_000] + writer.content[30_000:]
        assert lost == 25_000


def test_a_log_that_is_cut_after_it_was_full_is_lost_and_not_waited_for() -> None:
    with writing() as writer, closing(writer.reader(0)) as reader:
        writer.write(some_bytes(LIMIT + 10, 1))
        os.truncate(writer.directory / "stdout.1", 100)
        content, lost = rest(reader)
        assert content == writer.content[:100] + writer.content[LIMIT:]
        assert lost == LIMIT - 100


def test_a_log_that_the_task_makes_longer_is_still_read_as_it_is_written() -> None:
    with writing(limit=10**6) as writer, closing(writer.reader(0)) as reader:
        writer.write(some_bytes(100, 1))
        os.truncate(writer.directory / "stdout", 500_000)
        first, lost = rest(reader)
        writer.write(some_bytes(100_000, 2))
        second, more_lost = rest(reader)
        assert (first + second).rstrip(b"\0") == writer.content
        assert lost + more_lost == 0


def test_what_stands_where_the_log_should_be_is_refused_as_that() -> None:
    with writing() as writer, closing(writer.reader(0)) as reader:
        (writer.directory / "stdout").unlink()
        with pytest.raises(NotFound):
            reader.read()
        os.mkfifo(writer.directory / "stdout")
        with pytest.raises(InvalidRequest):
            reader.read()
        (writer.directory / "stdout").unlink()
        (writer.directory / "stdout").symlink_to("/etc/passwd")
        with pytest.raises(InvalidRequest):
            reader.read()


@given(
    lines=st.lists(st.integers(0, 9_000), max_size=12),
    wanted=st.integers(0, 14),
    is_ended=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_last_lines_over_files(lines: list[int], wanted: int, is_ended: bool) -> None:
    content = b"".join(b"x" * count + b"\n" for count in lines) + (b"" if is_ended else b"tail")
    with writing(count=9) as writer:
        writer.write(content)
        position = tail_position(LogFiles(str(writer.directory), "stdout", 9), wanted)
        found = content.splitlines(keepends=True)
        assert content[position:] == (b"".join(found[-wanted:]) if wanted else b"")


@pytest.mark.parametrize("mark", [b"", b"x", b"1 2 3", b"-1", b"1 x", b"\xff"])
def test_a_mark_that_is_none(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "file"
    path.touch()
    os.setxattr(path, "trusted.paddock.log", mark)
    fd = os.open(path, os.O_RDONLY)
    assert read_mark(fd) == (None, None)
    os.close(fd)
