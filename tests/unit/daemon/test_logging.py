"""A log line is one line, whatever is in it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.daemon.log_output import goes_to_journal, set_up_logging
from paddock.daemon.logging import LogFormat, log_ids


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, asyncio_level = list(root.handlers), root.level, logging.getLogger("asyncio").level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(asyncio_level)


def written(log_format: LogFormat, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    set_up_logging(log_format, level, stream)
    return stream


def test_json_has_the_phrase_the_fields_and_the_ids() -> None:
    stream = written(LogFormat.JSON)
    with log_ids(container_id="c1"), log_ids(task_id="t 1"):
        logging.getLogger("agentd").info("container launched", extra={"pid": 7})
    logging.getLogger("agentd").info("idle")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["message"], first["pid"], first["container_id"], first["task_id"]) == (
        "container launched",
        7,
        "c1",
        "t 1",
    )
    assert (first["level"], first["logger"]) == ("info", "agentd")
    assert "container_id" not in second


def test_logfmt_quotes_what_would_break_the_line() -> None:
    stream = written(LogFormat.LOGFMT)
    logging.getLogger("x").warning(
        "odd", extra={"path": "/a/b", "words": 'a "b"\nc=d', "nothing": "", "both": ("a:1", "/b")}
    )
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(r'level=warning logger=x message=odd path=/a/b words="a \"b\"\nc=d" nothing="" both=a:1,/b')


@pytest.mark.parametrize("log_format", LogFormat)
def test_a_traceback_stays_on_its_line(log_format: LogFormat) -> None:
    stream = written(log_format)
    try:
        int("two\nlines")
    except ValueError:
        logging.getLogger("x").exception("broken")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: invalid literal" in line


@pytest.mark.parametrize("log_format", LogFormat)
@pytest.mark.parametrize(
    "odd", ["\x1b[2J", "\x9b2J", "a\u2028b", "a\x85b", "\udcff", "\r", "\N{RIGHT-TO-LEFT OVERRIDE}", "\U000e0001"]
)
def test_strangers_words_neither_end_a_line_nor_steer_a_terminal(log_format: LogFormat, odd: str) -> None:
    stream = written(log_format)
    logging.getLogger("x").info("named", extra={"task": f"{odd}é"})
    (line,) = stream.getvalue().rstrip("\n").splitlines()
    assert line.isprintable()
    assert "é" in line
    if log_format is LogFormat.JSON:
        assert json.loads(line)["task"] == f"{odd}é"


def test_the_level_is_kept() -> None:
    stream = written(LogFormat.JSON, "warning")
    logging.getLogger("x").info("quiet")
    assert not stream.getvalue()


async def test_ids_follow_the_tasks_and_do_not_leak_between_them() -> None:
    stream = written(LogFormat.JSON)

    async def work(name: str) -> None:
        with log_ids(container_id=name):
            await asyncio.sleep(0.01)
            logging.getLogger("x").info("worked", extra={"by": name})

    await asyncio.gather(work("a"), work("b"))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert all(line["by"] == line["container_id"] for line in lines)
    assert len(lines) == 2


def test_journald_gets_priorities_only_where_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
        monkeypatch.setenv("JOURNAL_STREAM", "1:1")
        assert not goes_to_journal(stream)
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert goes_to_journal(stream)
        set_up_logging(LogFormat.LOGFMT, "debug", stream)
        logger = logging.getLogger("x")
        for log in (logger.debug, logger.info, logger.warning, logger.error, logger.critical):
            log("word")
    assert [line[:3] for line in path.read_text().splitlines()] == ["<7>", "<6>", "<4>", "<3>", "<2>"]
