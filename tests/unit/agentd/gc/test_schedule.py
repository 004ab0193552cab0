"""When a sandbox goes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.gc.pins import READ_PIN_S, Pins
from agentd.gc.schedule import Sandbox, due, max_age_s
from paddock.model.ids import ContainerId

WEEK_S = 604_800.0
NS_PER_S = 10**9


@pytest.mark.parametrize(
    ("usage", "age_s"), [(0.0, 0.9 * WEEK_S), (0.5, 0.4 * WEEK_S), (0.89, 0.01 * WEEK_S), (0.9, 0.0), (1.0, 0.0)]
)
def test_the_fuller_the_disk_the_younger_they_go(usage: float, age_s: float) -> None:
    assert max_age_s(WEEK_S, headroom=0.1, usage=usage) == pytest.approx(age_s, abs=1e-6)


def sandbox(name: str, idle_since_s: int) -> Sandbox:
    return Sandbox(path=f"/w/{name}", container_id=ContainerId(name), idle_since_ns=idle_since_s * NS_PER_S)


def test_the_oldest_goes_first_and_the_agents_word_counts_more_than_the_disk() -> None:
    found = [sandbox("a", 50), sandbox("b", 10), sandbox("c", 10), sandbox("d", 99)]
    # c's owner may not have touched it for long: it ended just now. a's owner has touched it after its end.
    ended = {ContainerId("c"): 99 * NS_PER_S, ContainerId("a"): 5 * NS_PER_S}
    gone = due(found, ended, (), now_ns=100 * NS_PER_S, age_s=60.0)
    assert [each.container_id for each in gone] == ["a", "b"]


ids = st.sampled_from([ContainerId(name) for name in "abcdef"])


@given(
    st.lists(st.builds(sandbox, ids, st.integers(0, 100)), unique_by=lambda each: each.path),
    st.dictionaries(ids, st.integers(0, 100 * NS_PER_S)),
    st.sets(ids),
    st.floats(0, 100),
)
@settings(deadline=None)
def test_nothing_pinned_or_young_goes_and_everything_else_does(
    found: list[Sandbox], ended: dict[ContainerId, int], pinned: set[ContainerId], age_s: float
) -> None:
    gone = due(found, ended, pinned, now_ns=100 * NS_PER_S, age_s=age_s)
    assert not pinned & {each.container_id for each in gone}
    for each in found:
        age_ns = 100 * NS_PER_S - ended.get(each.container_id, each.idle_since_ns)
        expected = age_ns >= round(age_s * NS_PER_S) and each.container_id not in pinned
        assert (each in gone) == expected


def test_who_looks_pins() -> None:
    pins = Pins()
    a, b = ContainerId("a"), ContainerId("b")
    with pins.held(a), pins.held(a):
        pins.read(b, 0.0)
        assert pins.now(READ_PIN_S - 1) == {a, b}
    assert pins.now(READ_PIN_S + 1) == set()
