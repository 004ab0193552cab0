"""The registry's file: opened so that what is written is on the disk, and never where a newer master wrote it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from masterd.registry_formats import FORMAT, STEPS
from paddock.model.errors import CheckpointError

FILE_NAME = "registry.sqlite"
REMEDY = (
    "check the disk; restore the file from a backup, or move it away: agents and frameworks come back by themselves"
)
_HEADER_BYTES = 100
_USER_VERSION = slice(60, 64)
"""Where a SQLite file has its user_version."""


def connect(path: Path) -> sqlite3.Connection:
    """Made where it is not there, and brought to this version's format. Raises sqlite3.Error, CheckpointError."""
    before = os.umask(0o077)
    try:
        connection = sqlite3.connect(path, check_same_thread=False, timeout=1.0)
    finally:
        os.umask(before)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # What a master that was killed after a failed sync has left may be in the page cache only: have it written once more.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _bring_to_format(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def check_format(state_dir: str) -> None:
    """Changes nothing. Raises CheckpointError where `Registry.open` would refuse what another version wrote."""
    path = Path(state_dir) / FILE_NAME
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CheckpointError(
            str(path), 0, f"it cannot be read ({error.strerror}): run this as masterd's user"
        ) from None
    if header and not header.startswith(b"SQLite format 3\0"):
        raise CheckpointError(str(path), 0, f"this is no registry; {REMEDY}")
    _check_known(path, int.from_bytes(header[_USER_VERSION], "big"))


def _check_known(path: Path, found: int) -> None:
    if found not in STEPS and found != FORMAT:
        message = f"the registry has format {found}, this version reads 1 to {FORMAT}; run the masterd that wrote it"
        raise CheckpointError(str(path), 0, message)


def _bring_to_format(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found in STEPS:
        connection.executescript(f"BEGIN; {STEPS[found]} PRAGMA user_version = {FORMAT}; COMMIT;")
    else:
        _check_known(path, found)
