"""A `paddock run` whose agent is out of reach: what is said of it, and when it is over."""

from __future__ import annotations

import sys
import time

from paddock.model.errors import PaddockError
from paddock.model.task import TaskState, TaskStatus


class Absence:
    """The task may go on all the while, so it is waited for: until its agent is back, or is known never to be."""

    def __init__(self, hostname: str) -> None:
        """The agent's, for people."""
        self._hostname = hostname
        self.is_under_way = False

    def heard(self, status: TaskStatus) -> bool:
        """Whether this status was about that, and has been told. Raises PaddockError when nobody knows the task any more."""
        was_under_way = self.is_under_way
        self.is_under_way = status.state is TaskState.UNREACHABLE
        if self.is_under_way:
            if not was_under_way:
                since = time.strftime("%H:%M:%S")
                words = "the task may go on there and is waited for; Ctrl-C gives it up"
                _tell(f"agent {self._hostname} is out of reach since {since}; {words}")
            return True
        if status.state is TaskState.UNKNOWN:
            raise PaddockError(f"the master no longer knows the task or its agent {self._hostname}: {status.message}")
        if was_under_way and status.state is TaskState.RUNNING:
            _tell(f"agent {self._hostname} is back, and the task has gone on")
            return True
        return False

    def give_up(self) -> None:
        """Ctrl-C: nobody can be asked to kill it now. Its framework ends, and with it the task as soon as that can be."""
        _tell(f"given up; the task is killed when agent {self._hostname} is back")


def _tell(words: str) -> None:
    print(f"paddock run: {words}", file=sys.stderr)
