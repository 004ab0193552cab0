"""Laws of chance: how long tasks run, when the next one comes. Each draw takes the source of randomness."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Always the same."""

    seconds: float

    def draw(self, source: random.Random) -> float:
        """In seconds."""
        return self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Anything between two bounds, equally likely."""

    low_s: float
    high_s: float

    def draw(self, source: random.Random) -> float:
        """In seconds."""
        return source.uniform(self.low_s, self.high_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """Without memory: what comes by itself, independently, again and again."""

    mean_s: float

    def draw(self, source: random.Random) -> float:
        """In seconds."""
        return source.expovariate(1 / self.mean_s)


Law = Constant | Uniform | Exponential
