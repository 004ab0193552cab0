"""Samples to the text that Prometheus reads: OpenMetrics, or the older text where that is not asked for.

The registry is one of ours for each text, never the library's global one: two daemons in one process (a test) share nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from prometheus_client import exposition
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from paddock.metrics.families import Family, Kind, Sample
from paddock.metrics.histogram import Histogram


class Samples(Collector):
    """What was collected already, for a registry of the library."""

    def __init__(self, families: Sequence[Family], samples: Iterable[Sample]) -> None:
        """A family without samples is told too: whoever looks for it finds its words."""
        self._families = families
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        """In the order of the families."""
        metrics = {
            family: Metric(family.name, family.words, family.kind.value, family.unit) for family in self._families
        }
        for family, labels, value in self._samples:
            named = dict(zip(family.labels, labels, strict=True))
            if isinstance(value, Histogram):
                _add_histogram(metrics[family], named, value)
            else:
                metrics[family].add_sample(family.shown_name, named, value)
        yield from metrics.values()

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry would otherwise collect all of it just to look for names that are taken twice."""
        return ()


def _add_histogram(metric: Metric, labels: dict[str, str], histogram: Histogram) -> None:
    cumulative = histogram.cumulative()
    for bound, count in cumulative:
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": _bound(bound)}, count)
    # From the same look: a thread may be observing just now.
    metric.add_sample(f"{metric.name}_count", labels, cumulative[-1][1])
    metric.add_sample(f"{metric.name}_sum", labels, histogram.total)


@cache
def _bound(bound: float) -> str:
    words: str = floatToGoString(bound)  # type: ignore[no-untyped-call]
    return words


def render(families: Sequence[Family], samples: Iterable[Sample], *, openmetrics: bool) -> tuple[str, bytes]:
    """Content type and text; the process's own figures are in it too."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(Samples(families, samples))
    if openmetrics:
        text: bytes = openmetrics_exposition.generate_latest(registry)  # type: ignore[no-untyped-call]
        return openmetrics_exposition.CONTENT_TYPE_LATEST, text
    return exposition.CONTENT_TYPE_PLAIN_0_0_4, exposition.generate_latest(registry)


def process_families() -> list[tuple[str, str, str]]:
    """Name, kind and words of the process's own figures, for the reference page."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    suffix = {Kind.COUNTER.value: "_total"}
    return [
        (f"{metric.name}{suffix.get(metric.type, '')}", metric.type, metric.documentation)
        for metric in registry.collect()
    ]
