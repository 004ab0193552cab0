"""Many files at once: what each has, and nothing where one cannot be read or is longer."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.kernel.batch_reads import BatchReads

READERS = {name: BatchReads(8, 64, name) for name in (os.uname().machine, "none")}


def read(reads: BatchReads, fds: list[int]) -> list[bytes | None]:
    reads.begin(fds)
    reads.run()
    return reads.texts()


@pytest.mark.parametrize("machine", sorted(READERS))
def test_each_has_its_own(machine: str, tmp_path: Path) -> None:
    contents = [b"", b"1\n", b"x" * 63, b"y" * 64, b"z" * 1000]
    fds = []
    for index, content in enumerate(contents):
        (tmp_path / str(index)).write_bytes(content)
        fds.append(os.open(tmp_path / str(index), os.O_RDONLY))
    reads = READERS[machine]
    assert read(reads, [*fds, -1, fds[1]]) == [b"", b"1\n", b"x" * 63, None, None, None, b"1\n"]
    assert read(reads, []) == []
    (tmp_path / "1").write_bytes(b"2")
    assert read(reads, [fds[1]]) == [b"2"]
    with pytest.raises(ValueError, match="9 files, at most 8"):
        reads.begin([0] * 9)
    for fd in fds:
        os.close(fd)


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_both_read_the_same(contents: list[bytes]) -> None:
    fds = []
    for content in contents:
        fd = os.memfd_create("file")
        os.write(fd, content)
        fds.append(fd)
    expected = [content if len(content) < 64 else None for content in contents]
    assert [read(reads, fds) for reads in READERS.values()] == [expected, expected]
    for fd in fds:
        os.close(fd)
