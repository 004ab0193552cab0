"""Virtual time: what happens when. Nothing waits; the clock jumps to the next step."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

Step = Callable[[], None]
NS_PER_S = 1_000_000_000


class Timeline:
    """Steps in the order of their time; of the same moment, in the order in which they were planned."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._steps: list[tuple[float, int, Step]] = []
        self._numbers = count(1)

    @property
    def now_ns(self) -> int:
        """As the cores count."""
        return round(self.now_s * NS_PER_S)

    def at(self, time_s: float, step: Step) -> None:
        """Then, or now when that has passed."""
        heappush(self._steps, (max(time_s, self.now_s), next(self._numbers), step))

    def soon(self, step: Step) -> None:
        """After what is planned for this moment."""
        self.at(self.now_s, step)

    def every(self, interval_s: float, step: Step) -> None:
        """Again and again, the first time after one interval."""

        def again() -> None:
            step()
            self.at(self.now_s + interval_s, again)

        self.at(self.now_s + interval_s, again)

    def run(self, until_s: float) -> None:
        """All steps up to that moment."""
        while self._steps and self._steps[0][0] <= until_s:
            self.now_s, _, step = heappop(self._steps)
            step()
        self.now_s = until_s
