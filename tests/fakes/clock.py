"""A clock that stands still until the test moves it."""

from __future__ import annotations

_NS_PER_S = 1_000_000_000


class FakeClock:
    """Both clocks advance together; the wall clock may also be set, as administrators do."""

    def __init__(self, *, monotonic_s: float = 1000.0, wall_s: float = 1_700_000_000.0) -> None:
        self._monotonic_ns = int(monotonic_s * _NS_PER_S)
        self._wall_ns = int(wall_s * _NS_PER_S)

    def advance(self, seconds: float) -> None:
        self._monotonic_ns += int(seconds * _NS_PER_S)
        self._wall_ns += int(seconds * _NS_PER_S)

    def set_wall(self, seconds: float) -> None:
        self._wall_ns = int(seconds * _NS_PER_S)

    def monotonic_s(self) -> float:
        return self._monotonic_ns / _NS_PER_S

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def wall_ns(self) -> int:
        return self._wall_ns
