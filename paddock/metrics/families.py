"""Families of metrics as values: name, kind, words, labels, unit. The reference page and the exposition are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from paddock.metrics.histogram import Histogram


class Kind(Enum):
    """OpenMetrics' types, those that we use."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """`name` is without the `_total` of a counter and the `_info` of an info, and ends with its unit where it has one."""

    name: str
    kind: Kind
    words: str
    labels: tuple[str, ...] = ()
    unit: str = ""

    def __post_init__(self) -> None:
        """The rule of OpenMetrics about units."""
        if self.unit and not self.name.endswith(f"_{self.unit}"):
            raise ValueError(f"{self.name} does not end with its unit {self.unit}")

    @property
    def shown_name(self) -> str:
        """As one asks for it."""
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")
        return f"{self.name}{suffix}"

    def sample(self, value: float | Histogram, *labels: str) -> Sample:
        """One value; the labels' values in the order of their names."""
        return Sample(self, labels, value)


class Sample(NamedTuple):
    """One value of a family at a moment. A named tuple: a scrape of a large agent has some thousands."""

    family: Family
    labels: tuple[str, ...]
    value: float | Histogram


def counter(name: str, words: str, *labels: str, unit: str = "") -> Family:
    """What only grows while the daemon lives."""
    return Family(name=name, kind=Kind.COUNTER, words=words, labels=labels, unit=unit)


def gauge(name: str, words: str, *labels: str, unit: str = "") -> Family:
    """What goes up and down."""
    return Family(name=name, kind=Kind.GAUGE, words=words, labels=labels, unit=unit)


def seconds(name: str, words: str, *labels: str) -> Family:
    """A histogram of times."""
    return Family(name=f"{name}_seconds", kind=Kind.HISTOGRAM, words=words, labels=labels, unit="seconds")


def info(name: str, words: str, *labels: str) -> Family:
    """What does not change while the daemon lives."""
    return Family(name=name, kind=Kind.INFO, words=words, labels=labels)
