"""Files of records that are needed no more, kept for the next containers.

A file system may take long to find an inode where many have just been freed (ext4 without a journal looks at each that was
freed within minutes): an agent that launches hundreds of containers a second would wait for its own deletions.
"""

from __future__ import annotations

import os
from collections import deque

MAX_COUNT = 256
_PREFIX = "spare-"


def spare_id_of(path: str) -> str:
    """The container whose record it was."""
    return os.path.basename(path).removeprefix(_PREFIX)


class SpareRecords:
    """Empty files in the directory of the records. What is taken belongs to the taker; one that vanished is no error.

    One that was taken for a launch that came to nothing before is found again by the next agent.
    """

    def __init__(self, directory: str) -> None:
        """Touches nothing before `find`."""
        self._directory = directory
        self._paths: deque[str] = deque(maxlen=MAX_COUNT)

    def find(self) -> None:
        """Those of an earlier agent. Raises OSError."""
        self._paths.clear()
        for name in sorted(os.listdir(self._directory)):
            # A container's own name may begin like this; its record's name holds more.
            if name.startswith(_PREFIX) and ".json" not in name:
                path = os.path.join(self._directory, name)
                os.truncate(path, 0)
                if len(self._paths) < MAX_COUNT:
                    self._paths.append(path)
                else:
                    os.unlink(path)

    def take(self) -> str | None:
        """From any thread; None when there is none."""
        try:
            return self._paths.popleft()
        except IndexError:
            return None

    def give(self, record: str) -> None:
        """The record is gone afterwards; when there was none, that is no error."""
        if len(self._paths) >= MAX_COUNT:
            try:
                os.unlink(record)
            except FileNotFoundError:
                pass
            return
        spare = os.path.join(self._directory, _PREFIX + os.path.basename(record).partition(".json")[0])
        try:
            # In this order: an agent that dies in between leaves a spare, which the next one empties, and not an empty record.
            os.rename(record, spare)
            os.truncate(spare, 0)
        except FileNotFoundError:
            return
        self._paths.append(spare)
