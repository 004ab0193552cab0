"""What a container does per second: the difference between two measurements of it."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.model.statistics import ResourceStatistics

_NS_PER_US = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Thousandths of a CPU, and of all periods those that were throttled. None: not measured twice, or begun anew."""

    cpus_milli: int | None = None
    throttled_permille: int | None = None


def rates_between(earlier: ResourceStatistics | None, later: ResourceStatistics) -> Rates:
    """Both of one container. Without a quota there are no periods, and nothing is throttled."""
    if earlier is None:
        return Rates()
    passed_us = (later.timestamp_ns - earlier.timestamp_ns) // _NS_PER_US
    used_us = _growth(earlier.cpu_usage_us, later.cpu_usage_us)
    periods = _growth(earlier.cpu_period_count, later.cpu_period_count)
    throttled = _growth(earlier.cpu_throttled_count, later.cpu_throttled_count)
    return Rates(
        cpus_milli=None if used_us is None or passed_us <= 0 else 1000 * used_us // passed_us,
        throttled_permille=None
        if periods is None or throttled is None
        else min(1000 * throttled // periods, 1000)
        if periods
        else 0,
    )


def _growth(earlier: int | None, later: int | None) -> int | None:
    """None when it is not known, or is less than before: then it is another container's counter."""
    return None if earlier is None or later is None or later < earlier else later - earlier
