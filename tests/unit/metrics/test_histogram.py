"""Histograms: a bound belongs to its own bucket, and quantiles are told as numbers that can be drawn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paddock.metrics.histogram import TIME_BOUNDS_S, Histogram

TIMES_S = st.floats(min_value=0, max_value=100, allow_nan=False)


@given(st.lists(TIMES_S | st.sampled_from(TIME_BOUNDS_S)))
def test_each_bucket_counts_what_is_at_most_its_bound(times_s: list[float]) -> None:
    histogram = Histogram()
    for time_s in times_s:
        histogram.observe(time_s)
    assert histogram.count == len(times_s)
    for bound, count in histogram.cumulative():
        assert count == sum(time_s <= bound for time_s in times_s)
    assert abs(histogram.total - sum(times_s)) < 1e-6


def test_a_quantile_is_the_bound_of_its_bucket() -> None:
    histogram = Histogram((1.0, 2.0, 4.0))
    assert histogram.quantile(0.5) == 0.0
    for value in (0.5, 1.5, 1.5, 3.0, 99.0):
        histogram.observe(value)
    assert histogram.quantile(0.2) == 1.0
    assert histogram.quantile(0.5) == 2.0
    assert histogram.quantile(0.8) == 4.0
    assert histogram.quantile(1.0) == 4.0, "what is beyond all bounds is told as the last"
