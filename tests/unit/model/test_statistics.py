"""Statistics: parts of several isolators become one, and nothing that was measured is lost."""

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from paddock.model.statistics import ResourceStatistics

NAMES = [field.name for field in fields(ResourceStatistics) if field.name not in {"timestamp_ns", "missing"}]
PARTS = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2**63)).map(
    lambda found: replace(ResourceStatistics(), **found)  # type: ignore[arg-type]
)


@given(one=PARTS, two=PARTS)
def test_merging(one: ResourceStatistics, two: ResourceStatistics) -> None:
    merged = replace(one)
    merged.take(two)
    for name in NAMES:
        second = getattr(two, name)
        assert getattr(merged, name) == (getattr(one, name) if second is None else second)


def test_reasons_add_up_and_the_newest_time_stays() -> None:
    one = ResourceStatistics(timestamp_ns=5, missing=(("a/b", "x"),))
    two = ResourceStatistics(timestamp_ns=3, missing=(("c/d", "y"),), pids_count=0)
    one.take(two)
    assert one == ResourceStatistics(timestamp_ns=5, missing=(("a/b", "x"), ("c/d", "y")), pids_count=0)
