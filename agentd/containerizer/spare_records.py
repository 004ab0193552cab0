"""Files of records that are needed no more, kept for the next containers.

A file system may take long to find an inode where many have just been freed (ext4 without a journal looks at each that was
freed within minutes): an agent that launches hundreds of containers a second would wait for its own deletions. They keep their
space too, where that is of use: to free a block and to take one is each a wait for the disk.
"""

from __future__ import annotations

import os
from collections import deque

from paddock.kernel.mounts import fs_type_of
from paddock.launch import record as records

MAX_COUNT = 256
_PREFIX = "spare-"


def spare_id_of(path: str) -> str:
    """The container whose record it was."""
    return os.path.basename(path).removeprefix(_PREFIX)


class SpareRecords:
    """Empty files in the directory of the records. What is taken belongs to the taker, until it is taken back; one that
    vanished is no error. `are_steady`: the directory is on one of the STEADY_FILE_SYSTEMS.
    """

    def __init__(self, directory: str) -> None:
        """Touches nothing before `find`."""
        self._directory = directory
        self._paths: deque[str] = deque(maxlen=MAX_COUNT)
        self._taken: dict[str, str] = {}
        self.are_steady = False

    def find(self) -> None:
        """Those of an earlier agent. Raises OSError."""
        self._paths.clear()
        self.are_steady = fs_type_of(self._directory) in records.STEADY_FILE_SYSTEMS
        for name in sorted(os.listdir(self._directory)):
            # A container's own name may begin like this; its record's name holds more.
            if name.startswith(_PREFIX) and ".json" not in name:
                path = os.path.join(self._directory, name)
                self._empty(path)
                self._keep(path)

    def take(self, taker: str) -> str | None:
        """From any thread; None when there is none."""
        try:
            path = self._paths.popleft()
        except IndexError:
            return None
        self._taken[taker] = path
        return path

    def take_back(self, taker: str) -> None:
        """The taker is gone. Its launch may have come to nothing before it made a record of the file."""
        path = self._taken.pop(taker, None)
        if path is not None and os.path.exists(path):
            self._keep(path)

    def _keep(self, path: str) -> None:
        if len(self._paths) < MAX_COUNT:
            self._paths.append(path)
        else:
            _unlink(path)

    def give(self, record: str) -> None:
        """The record is gone afterwards; when there was none, that is no error."""
        if len(self._paths) >= MAX_COUNT:
            _unlink(record)
            return
        spare = os.path.join(self._directory, _PREFIX + os.path.basename(record).partition(".json")[0])
        try:
            # In this order: an agent that dies in between leaves a spare, which the next one empties, and not an empty record.
            os.rename(record, spare)
            self._empty(spare)
        except FileNotFoundError:
            return
        self._paths.append(spare)

    def _empty(self, path: str) -> None:
        if self.are_steady:
            records.empty(path)
        else:
            # What is written anew takes new space, which is to be had at the launch and not at the end.
            os.truncate(path, 0)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
