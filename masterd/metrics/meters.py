"""What the master's loop and its writer thread measure of themselves. Each costs a fraction of a microsecond."""

from __future__ import annotations

from dataclasses import dataclass, field

from masterd.core.events import Event
from paddock.metrics.histogram import Histogram


@dataclass(slots=True, kw_only=True)
class Meters:
    """`registry_s` is the writer thread's to change, all else the loop's."""

    cycle_s: Histogram = field(default_factory=Histogram)
    registry_s: Histogram = field(default_factory=Histogram)
    loop_lag_s: Histogram = field(default_factory=Histogram)
    events: dict[type[Event], int] = field(default_factory=dict)
    refused_events: dict[type[Event], int] = field(default_factory=dict)
    records_written_count: int = 0
