"""How long to wait before the next attempt: doubling, jittered, bounded."""

from __future__ import annotations

from random import Random

FIRST_S = 0.1
LONGEST_S = 15.0


class Backoff:
    """Waits between half and all of a time that doubles: a thousand clients do not come back together."""

    def __init__(self, random: Random, *, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> None:
        """The randomness is given: tests have their own."""
        self._random = random
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next_s(self) -> float:
        """The wait before the next attempt, however many there were."""
        wait_s = self._next_s * self._random.uniform(0.5, 1.0)
        self._next_s = min(self._next_s * 2, self._longest_s)
        return wait_s

    def reset(self) -> None:
        """It worked: begin anew."""
        self._next_s = self._first_s
