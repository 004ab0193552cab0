"""Which file goes on where: against a log that is written, rotated and read in any order."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from agentd.log_parts import Arranged, LogPart, arranged, part_at, part_before


@dataclass(slots=True)
class Log:
    """As a shim keeps it: the active file last. `marks_late`: the newest has no mark yet, the one before it no end."""

    limit: int
    count: int
    files: list[LogPart] = field(default_factory=list)
    written: int = 0
    number: int = 0
    marks_late: bool = False

    def write(self, count: int) -> None:
        for _ in range(count):
            if not self.files or self.files[-1].size_bytes == self.limit:
                self.rotate()
            last = self.files[-1]
            self.files[-1] = LogPart(
                identity=last.identity, begin=last.begin, end=last.end, size_bytes=last.size_bytes + 1
            )
            self.written += 1

    def rotate(self) -> None:
        if self.files:
            last = self.files[-1]
            begin = self.written - last.size_bytes
            self.files[-1] = LogPart(identity=last.identity, begin=begin, end=self.written, size_bytes=last.size_bytes)
        # A file's number is free again once it is deleted.
        self.number = (self.number + 1) % (self.count + 1)
        begin_or_none = self.written if self.files else None
        self.files.append(LogPart(identity=(1, self.number), begin=begin_or_none, end=None, size_bytes=0))
        del self.files[: -self.count]

    def seen(self) -> tuple[Arranged, ...]:
        files = list(self.files)
        if self.marks_late and len(files) > 1:
            newest, before = files[-1], files[-2]
            files[-1] = LogPart(identity=newest.identity, begin=None, end=None, size_bytes=newest.size_bytes)
            files[-2] = LogPart(identity=before.identity, begin=before.begin, end=None, size_bytes=before.size_bytes)
        rotated = files[-2::-1]
        return arranged(files[-1] if files else None, rotated)


@given(
    limit=st.integers(1, 5),
    count=st.integers(1, 4),
    steps=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=30),
)
def test_a_reader_meets_every_byte_that_is_there_once_and_is_told_of_the_others(
    limit: int, count: int, steps: list[tuple[int, int, bool]]
) -> None:
    log, position, read, lost = Log(limit, count), 0, 0, 0
    for written, wanted, late in [*steps, (0, 10**6, False)]:
        log.write(written)
        log.marks_late = late
        for _ in range(wanted):
            part = part_at(log.seen(), position)
            if part is None:
                break
            lost += max(part.begin - position, 0)
            position = max(part.begin, position)
            if position - part.begin >= part.size_bytes:
                break  # not written yet, or the next file has no mark yet
            read += 1
            position += 1
    assert position == log.written
    assert read + lost == log.written
    if count * limit >= log.written:
        assert lost == 0


def part(number: int, begin: int | None, end: int | None = None, size: int = 0) -> LogPart:
    return LogPart(identity=(1, number), begin=begin, end=end, size_bytes=size)


def test_a_log_that_never_rotated_is_its_one_file() -> None:
    assert arranged(part(1, None, size=7), []) == (Arranged(identity=(1, 1), begin=0, end=None, size_bytes=7),)
    assert arranged(None, []) == ()


def test_a_file_in_the_active_place_that_the_shim_did_not_make_is_not_the_logs() -> None:
    found = arranged(part(9, None, size=100), [part(2, 10, 20), part(1, 0, 10)])
    assert [each.identity[1] for each in found] == [1, 2]
    assert part_at(found, 20) is None


def test_a_file_that_was_seen_under_two_names_is_one() -> None:
    found = arranged(part(2, 10), [part(2, 10), part(1, 0, 10)])
    assert [(each.begin, each.end) for each in found] == [(0, 10), (10, None)]


def test_backwards() -> None:
    found = arranged(part(3, 20), [part(2, 10, 20), part(1, 0, 10)])
    first = part_before(found, 20)
    assert first is not None
    assert first.begin == 10
    assert part_before(found, 0) is None
