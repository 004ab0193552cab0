"""Where a daemon's lines go: to stderr, or to systemd's journal in its own protocol."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

from paddock.daemon.journal import JournalHandler
from paddock.daemon.logging import FieldFormatter, LogFormat


def goes_to_journal(stream: TextIO) -> bool:
    """Whether systemd connected this stream to the journal: JOURNAL_STREAM names its device and inode."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def set_up_logging(log_format: LogFormat, level: str, stream: TextIO | None = None, *, program: str = "") -> None:
    """At the start, and again when it is to change. `level`: debug, info, warning, error. stderr unless another stream is
    given; where that is the journal, each field can be asked for there, and `program` is who speaks.
    """
    # No line of ours says the caller's place, thread or process: for each line the stack would be walked through.
    logging._srcfile = None  # noqa: SLF001 - as the library's manual says it
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

    stream = stream or sys.stderr
    is_journal = goes_to_journal(stream)
    handler: logging.Handler = logging.StreamHandler(stream)
    formatter = FieldFormatter(log_format, priorities=is_journal)
    handler.setFormatter(formatter)
    if is_journal and program:
        handler = JournalHandler(formatter, program, handler)
    root = logging.getLogger()
    for before in root.handlers:
        if isinstance(before, JournalHandler):
            before.close()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # asyncio's debug lines tell about selectors, never about our work.
    logging.getLogger("asyncio").setLevel(max(root.level, logging.INFO))
