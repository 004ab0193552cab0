"""Which statuses this process has had in hand: agents repeat until acknowledged, frameworks hear each once."""

from __future__ import annotations

from paddock.model.task import TaskStatus

_REMEMBERED_COUNT = 100_000
"""A repetition comes within minutes; so many statuses take longer."""


class HandledOnce:
    """Remembers the newest uuids, and which of them the framework is done with."""

    def __init__(self, remembered_count: int = _REMEMBERED_COUNT) -> None:
        """Bounded: what is older is forgotten, oldest first."""
        self._remembered_count = remembered_count
        self._done: dict[bytes, bool] = {}

    def is_new(self, status: TaskStatus) -> bool:
        """True the first time only."""
        if status.uuid in self._done:
            return False
        self._done[status.uuid] = False
        if len(self._done) > self._remembered_count:
            del self._done[next(iter(self._done))]
        return True

    def done(self, status: TaskStatus) -> None:
        """The framework has dealt with it: from now on repetitions are acknowledged."""
        if status.uuid in self._done:
            self._done[status.uuid] = True

    def is_done(self, status: TaskStatus) -> bool:
        """Whether the framework has dealt with it."""
        return self._done.get(status.uuid, False)
