"""Lines in the journal's own protocol: fields that can be asked for, and nothing a stranger's word could begin."""

from __future__ import annotations

import io
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.daemon.journal import JournalHandler
from paddock.daemon.logging import FieldFormatter, LogFormat, log_ids


def parsed(datagram: bytes) -> dict[str, str]:
    """As journald reads it."""
    found: dict[str, str] = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size, datagram = int.from_bytes(datagram[:8], "little"), datagram[8:]
            value, datagram = datagram[:size], datagram[size:]
            assert datagram.startswith(b"\n")
            datagram = datagram[1:]
        assert name.decode() not in found
        found[name.decode()] = value.decode()
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "journal"))
        listener.setblocking(False)
        yield listener


class Written:
    """A logger with our handler, and the stderr behind it."""

    def __init__(self, path: Path) -> None:
        self.stderr = io.StringIO()
        fallback = logging.StreamHandler(self.stderr)
        formatter = FieldFormatter(LogFormat.LOGFMT, priorities=True)
        fallback.setFormatter(formatter)
        self.handler = JournalHandler(formatter, "agentd", fallback, str(path))

    def write(self, message: str, level: int = logging.INFO, **fields: object) -> None:
        self.handler.emit(logging.makeLogRecord({"name": "x", "levelno": level, "msg": message, **fields}))


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    lines = Written(tmp_path / "journal")
    yield lines
    lines.handler.close()


def test_ids_and_fields_can_be_asked_for(journal: socket.socket, written: Written) -> None:
    with log_ids(container_id="c1", task_id="t1", framework_id=""):
        written.write("container runs", pid=7)
    found = parsed(journal.recv(65536))
    assert found["PADDOCK_CONTAINER_ID"] == "c1"
    assert found["PADDOCK_TASK_ID"] == "t1"
    assert found["PADDOCK_PID"] == "7"
    assert "PADDOCK_FRAMEWORK_ID" not in found
    assert (found["SYSLOG_IDENTIFIER"], found["PRIORITY"], found["SYSLOG_PID"]) == ("agentd", "6", str(os.getpid()))
    assert 'message="container runs"' in found["MESSAGE"]
    assert written.stderr.getvalue() == ""


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_value_begins_a_field_of_its_own(text: str) -> None:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    lines = Written(Path("/nonexistent"))
    lines.handler._socket.close()
    lines.handler._socket = ours
    lines.handler._parts(logging.makeLogRecord({"msg": "x"}))
    with ours, its:
        record = logging.makeLogRecord({"name": "x", "levelno": logging.INFO, "msg": "said", "task_name": text})
        ours.send(b"".join(lines.handler._parts(record)))
        found = parsed(its.recv(1 << 20))
    assert found["PADDOCK_TASK_NAME"] == text
    assert set(found) == {
        "MESSAGE",
        "PRIORITY",
        "SYSLOG_IDENTIFIER",
        "SYSLOG_PID",
        "PADDOCK_LOGGER",
        "PADDOCK_TASK_NAME",
    }


def test_without_a_journal_the_line_goes_to_stderr(written: Written) -> None:
    written.write("said", level=logging.ERROR, task_id="t1")
    assert written.stderr.getvalue().startswith("<3>time=")
    assert written.stderr.getvalue().endswith("message=said task_id=t1\n")


def test_a_line_too_long_for_a_datagram_and_a_journal_that_hangs_lose_nothing(
    journal: socket.socket, written: Written
) -> None:
    written.write("long", words="x" * (4 << 20))
    assert len(written.stderr.getvalue()) > 4 << 20
    before = len(written.stderr.getvalue())
    for number in range(2_000):
        written.write("busy", number=number)
    # Nobody reads: what the socket did not take is on stderr, and we were not made to wait.
    taken = 0
    while True:
        try:
            journal.recv(65536)
        except BlockingIOError:
            break
        taken += 1
    assert taken + written.stderr.getvalue()[before:].count("\n") == 2_000
