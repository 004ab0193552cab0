"""The log: what was synced comes back, what was torn is cut, what was changed stops the agent."""

import threading
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, strategies

from agentd.checkpoint import CheckpointLog, frame_of, parse
from agentd.checkpoint_writer import CheckpointWriter, decode_frames
from agentd.core.durable import ContainerForgotten, ContainerLaunched, DurableEntry
from paddock.daemon.durable_codec import CodecError, codec_of, from_bytes, to_bytes
from paddock.model.errors import CheckpointError
from paddock.model.ids import ContainerId
from tests.unit.agentd.core import made

MAGIC = b"paddock agent log 1\n"


def written(path: Path, *contents: bytes) -> bytes:
    log, _ = CheckpointLog.open(str(path))
    for content in contents:
        log.append(content)
    log.close()
    return path.read_bytes()


def reopened(path: Path) -> list[bytes]:
    log, frames = CheckpointLog.open(str(path))
    log.close()
    return frames


def test_frames_come_back_in_order(tmp_path: Path) -> None:
    written(tmp_path / "log", b"one", b"two")
    log, frames = CheckpointLog.open(str(tmp_path / "log"))
    assert frames == [b"one", b"two"]
    log.append(b"three")
    log.close()
    assert reopened(tmp_path / "log") == [b"one", b"two", b"three"]


def test_a_tail_torn_anywhere_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "log"
    content = written(path, b"one", b"two", b"three")
    last = len(content) - len(frame_of(b"three", 3))
    for end in range(last, len(content)):
        path.write_bytes(content[:end])
        assert reopened(path) == [b"one", b"two"]
        assert path.stat().st_size == last


def test_a_tail_of_zeros_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(written(path, b"one") + bytes(4096))
    assert reopened(path) == [b"one"]


def test_any_changed_byte_before_the_last_frame_stops_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    content = written(path, b"one", b"two", b"three")
    last = len(content) - len(frame_of(b"three", 3))
    for offset in range(last):
        damaged = bytearray(content)
        damaged[offset] ^= 0x55
        with pytest.raises(CheckpointError) as stopped:
            parse(str(path), bytes(damaged))
        assert stopped.value.path == str(path)
        assert stopped.value.offset_bytes <= offset


def test_a_file_that_is_no_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"something else entirely, and long enough")
    with pytest.raises(CheckpointError, match="this is no agent's log; restore it"):
        CheckpointLog.open(str(path))
    assert path.read_bytes().startswith(b"something")


@pytest.mark.parametrize(("found", "known"), [(2, 1), (0, 1)])
def test_a_log_of_another_format_says_which_and_is_left_alone(tmp_path: Path, found: int, known: int) -> None:
    path = tmp_path / "log"
    path.write_bytes(f"paddock agent log {found}\nwhatever stands there".encode())
    with pytest.raises(
        CheckpointError, match=f"{path} .* has format {found}, this version reads {known}; start the agentd"
    ):
        CheckpointLog.open(str(path))
    assert path.read_bytes().endswith(b"whatever stands there")


def test_a_file_torn_in_its_first_line_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(MAGIC[:5])
    assert reopened(path) == []
    assert path.read_bytes() == MAGIC


def test_compaction_replaces_all_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log, _ = CheckpointLog.open(str(path))
    for _ in range(10):
        log.append(b"x" * 100)
    log.replace([b"all"])
    log.append(b"more")
    log.close()
    assert reopened(path) == [b"all", b"more"]
    assert not (tmp_path / "log.new").exists()


def test_a_full_disk_is_a_checkpoint_error(tmp_path: Path) -> None:
    log, _ = CheckpointLog.open(str(tmp_path / "log"))
    log.close()
    with pytest.raises(CheckpointError, match="cannot be written"):
        log.append(b"x")


@given(strategies.binary(max_size=400))
def test_garbage_never_surprises(garbage: bytes) -> None:
    try:
        frames, _, end = parse("log", MAGIC + garbage)
    except CheckpointError:
        return
    assert end <= len(MAGIC) + len(garbage)
    assert sum(map(len, frames)) <= len(garbage)


class Heard:
    """What the writer said, waited for without sleeping."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.failures: list[CheckpointError] = []
        self._changed = threading.Condition()

    def durable(self, number: int) -> None:
        with self._changed:
            self.numbers.append(number)
            self._changed.notify_all()

    def failed(self, error: CheckpointError) -> None:
        with self._changed:
            self.failures.append(error)
            self._changed.notify_all()

    def wait_for(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.numbers and self.numbers[-1] >= number, 60)

    def wait_for_failure(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.failures, 60)


def entry(number: int) -> DurableEntry:
    return ContainerForgotten(container_id=ContainerId(f"c{number}"))


def writer(path: Path, heard: Heard) -> CheckpointWriter:
    log, _ = CheckpointLog.open(str(path))
    return CheckpointWriter(log, on_durable=heard.durable, on_failure=heard.failed)


def test_what_the_writer_promised_is_there(tmp_path: Path) -> None:
    heard = Heard()
    made_writer = writer(tmp_path / "log", heard)
    for number in range(1, 51):
        assert made_writer.append(entry(number)) == number
        if number % 3 or number == 50:
            made_writer.flush()
    heard.wait_for(50)
    path = str(tmp_path / "log")
    assert list(decode_frames(path, parse(path, (tmp_path / "log").read_bytes())[0])) == [
        entry(number) for number in range(1, 51)
    ]
    made_writer.close()


def test_entries_are_written_together_when_they_are_flushed_or_the_writer_closes(tmp_path: Path) -> None:
    heard = Heard()
    made_writer = writer(tmp_path / "log", heard)
    made_writer.append(entry(1))
    made_writer.append(entry(2))
    made_writer.flush()
    made_writer.flush()
    heard.wait_for(2)
    assert heard.numbers == [2]
    made_writer.append(entry(3))
    made_writer.close()
    assert heard.numbers == [2, 3]
    assert [frame.count(b"\n") for frame in reopened(tmp_path / "log")] == [1, 0]


def test_a_snapshot_takes_the_place_of_everything_before(tmp_path: Path) -> None:
    heard = Heard()
    made_writer = writer(tmp_path / "log", heard)
    made_writer.append(entry(1))
    made_writer.replace([entry(7), entry(8)])
    made_writer.append(entry(2))
    made_writer.close()
    path = str(tmp_path / "log")
    assert list(decode_frames(path, reopened(tmp_path / "log"))) == [entry(7), entry(8), entry(2)]


def test_a_writer_that_cannot_write_says_so_and_takes_a_snapshot_of_all_later(tmp_path: Path) -> None:
    heard = Heard()
    made_writer = writer(tmp_path / "log", heard)
    made_writer.append(entry(1))
    made_writer.flush()
    heard.wait_for(1)
    (tmp_path / "log.new").mkdir()
    made_writer.replace([entry(1)])
    heard.wait_for_failure()
    made_writer.append(entry(2))
    made_writer.flush()
    (tmp_path / "log.new").rmdir()
    made_writer.append(entry(3))
    made_writer.replace([entry(7)])
    made_writer.append(entry(4))
    made_writer.close()
    # The second, which is in the snapshot, was never durable by itself.
    assert heard.numbers == [1, 3, 4]
    assert len(heard.failures) == 1
    path = str(tmp_path / "log")
    assert list(decode_frames(path, reopened(tmp_path / "log"))) == [entry(7), entry(4)]


def test_a_writer_that_never_can_ends_all_the_same(tmp_path: Path) -> None:
    heard = Heard()
    log, _ = CheckpointLog.open(str(tmp_path / "log"))
    made_writer = CheckpointWriter(log, on_durable=heard.durable, on_failure=heard.failed)
    (tmp_path / "log.new").mkdir()
    made_writer.replace([entry(1)])
    heard.wait_for_failure()
    made_writer.append(entry(2))
    made_writer.close()
    assert not heard.numbers
    assert len(heard.failures) == 1


def test_entries_survive_the_codec() -> None:
    launched = ContainerLaunched(config=made.config("c1", task_id="t1"), created_ns=5, boot_id="b")
    line = to_bytes(launched, DurableEntry)
    assert b"\n" not in line
    assert from_bytes(line, DurableEntry) == launched


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"is":"ContainerForgotten"}',
        b'{"is":"ContainerForgotten","container_id":7}',
        b'{"is":"ContainerForgotten","container_id":"c","new":1}',
        b'{"is":"Something"}',
        b"null",
    ],
)
def test_what_cannot_be_understood_is_an_error(line: bytes) -> None:
    with pytest.raises(CodecError):
        from_bytes(line, DurableEntry)
    with pytest.raises(CheckpointError, match="frame 0"):
        list(decode_frames("log", [line]))


def test_the_codec_knows_every_entry() -> None:
    for kind in cast("tuple[type, ...]", DurableEntry.__args__):
        codec_of(kind)
