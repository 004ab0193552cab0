"""The circuit to the engine: the whole table, and any history of answers, failures and probes."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.docker.breaker import TABLE, Breaker, BreakerPolicy, Circuit, CircuitInput, next_circuit
from paddock.model.errors import InvalidTransition

MS = 1_000_000
POLICY = BreakerPolicy(failure_count=3, first_wait_ms=500, longest_wait_ms=15_000)


def closed() -> Breaker:
    breaker = Breaker(POLICY)
    assert breaker.begin_probe(now_ns=0)
    breaker.probe_answered()
    return breaker


def opened(*, now_ns: int = 0, chance: float = 0) -> Breaker:
    breaker = closed()
    for _ in range(3):
        breaker.failed(now_ns=now_ns, chance=chance)
    return breaker


@pytest.mark.parametrize(("circuit", "happened"), list(product(Circuit, CircuitInput)))
def test_every_pair_has_its_row_or_is_refused_by_name(circuit: Circuit, happened: CircuitInput) -> None:
    expected = TABLE.get((circuit, happened))
    if expected is None:
        words = f"the circuit to the Docker engine in state {circuit.name} has no transition for {happened.name}"
        with pytest.raises(InvalidTransition, match=words):
            next_circuit(circuit, happened)
    else:
        assert next_circuit(circuit, happened) is expected


def test_before_anything_was_heard_only_a_probe_goes_through() -> None:
    breaker = Breaker(POLICY)
    assert not breaker.lets_through
    assert breaker.begin_probe(now_ns=0)
    assert not breaker.lets_through
    assert not breaker.begin_probe(now_ns=0), "one at a time"
    breaker.probe_answered()
    assert breaker.lets_through


def test_it_opens_after_so_many_failures_in_a_row_and_an_answer_begins_the_row_anew() -> None:
    breaker = closed()
    for _ in range(5):
        breaker.failed(now_ns=0, chance=0)
        breaker.failed(now_ns=0, chance=0)
        breaker.answered()
    breaker.failed(now_ns=0, chance=0)
    breaker.failed(now_ns=0, chance=0)
    assert breaker.lets_through
    breaker.failed(now_ns=0, chance=0)
    assert breaker.circuit is Circuit.OPEN


@pytest.mark.parametrize(("chance", "waits_ms"), [(0, 250), (0.5, 375), (0.999999, 499.99)])
def test_the_first_probe_is_due_after_half_the_first_interval_to_all_of_it(chance: float, waits_ms: float) -> None:
    breaker = opened(now_ns=7 * MS, chance=chance)
    due_ns = int((7 + waits_ms) * MS)
    assert not breaker.begin_probe(now_ns=due_ns - MS // 10)
    assert breaker.begin_probe(now_ns=due_ns + MS // 10)


def test_each_failed_probe_doubles_the_interval_up_to_the_longest() -> None:
    breaker = opened()
    waits_ms = []
    now_ns = 0
    for _ in range(100):
        waits_ms.append((breaker.probe_due_ns - now_ns) / MS)
        now_ns = breaker.probe_due_ns
        assert breaker.begin_probe(now_ns=now_ns)
        breaker.probe_failed(now_ns=now_ns, chance=0)
    assert waits_ms[:7] == [250, 500, 1000, 2000, 4000, 7500, 7500]
    assert set(waits_ms[7:]) == {7500}


@pytest.mark.parametrize("late", ["answered", "failed"])
def test_what_was_under_way_when_it_opened_neither_closes_it_nor_moves_the_probe(late: str) -> None:
    breaker = opened()
    due_ns = breaker.probe_due_ns
    for probing in (False, True):
        if late == "answered":
            breaker.answered()
        else:
            breaker.failed(now_ns=due_ns * 3, chance=0.9)
        assert not breaker.lets_through
        assert breaker.probe_due_ns == due_ns
        assert probing or breaker.begin_probe(now_ns=due_ns)
    breaker.probe_answered()
    assert breaker.lets_through


def test_closed_again_it_takes_as_many_failures_as_before() -> None:
    breaker = opened()
    assert breaker.begin_probe(now_ns=breaker.probe_due_ns)
    breaker.probe_failed(now_ns=0, chance=0)
    assert breaker.begin_probe(now_ns=breaker.probe_due_ns)
    breaker.probe_answered()
    breaker.failed(now_ns=0, chance=0)
    breaker.failed(now_ns=0, chance=0)
    assert breaker.lets_through


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["answered", "failed", "probe", "probe answered", "probe failed"]),
            st.integers(0, 20_000),
            st.floats(0, 1, exclude_max=True),
        ),
        max_size=60,
    )
)
def test_no_history_leaves_it_without_a_probe_to_come(history: list[tuple[str, int, float]]) -> None:
    breaker = Breaker(POLICY)
    now_ns = 0
    for word, later_ms, chance in history:
        now_ns += later_ms * MS
        probing = breaker.circuit is Circuit.HALF_OPEN
        if word == "answered":
            breaker.answered()
        elif word == "failed":
            breaker.failed(now_ns=now_ns, chance=chance)
        elif word == "probe":
            begun = breaker.begin_probe(now_ns=now_ns)
            assert begun == (not probing and breaker.circuit is Circuit.HALF_OPEN)
        elif probing and word == "probe answered":
            breaker.probe_answered()
        elif probing:
            breaker.probe_failed(now_ns=now_ns, chance=chance)
        if breaker.circuit is Circuit.OPEN:
            assert breaker.probe_due_ns <= now_ns + POLICY.longest_wait_ms * MS
        assert breaker.failed_count < POLICY.failure_count or not breaker.lets_through
