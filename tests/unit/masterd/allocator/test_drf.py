"""Orders and shares with the numbers of the papers and of Mesos' behaviour."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from masterd.allocator.drf import Sorter
from masterd.allocator.shares import WEIGHT_LIMIT_MILLI, ClusterTotals


def sorter_of(
    totals: dict[str, int], weights: dict[str, int] | None = None, **allocated: tuple[int, int]
) -> tuple[Sorter, ClusterTotals]:
    cluster = ClusterTotals()
    cluster.change(added=totals, removed={})
    sorter = Sorter(cluster, weights or {})
    for client, (cpus, mem) in allocated.items():
        join(sorter, client, cpus, mem)
    return sorter, cluster


def join(sorter: Sorter, client: str, cpus: int = 0, mem: int = 0) -> None:
    sorter.add(client)
    sorter.activate(client)
    if cpus or mem:
        sorter.charge(client, {"cpus": cpus, "mem": mem})


def test_a_history_with_worked_numbers() -> None:
    sorter, totals = sorter_of({"cpus": 100, "mem": 100}, a=(5, 5), b=(6, 6))
    assert list(sorter.order()) == ["a", "b"]
    join(sorter, "c", 1, 1)
    join(sorter, "d", 3, 1)
    assert list(sorter.order()) == ["c", "d", "a", "b"]
    sorter.remove("a")
    sorter.discharge("b", {"cpus": 4, "mem": 4})
    assert list(sorter.order()) == ["c", "b", "d"]
    join(sorter, "e", 1, 5)
    totals.change(added={"cpus": 50, "mem": 100}, removed={"cpus": 100, "mem": 100})
    assert list(sorter.order()) == ["c", "b", "e", "d"]
    totals.change(added={"mem": 100}, removed={})
    join(sorter, "f", 5, 1)
    sorter.charge("c", {"mem": 15})
    assert list(sorter.order()) == ["e", "b", "d", "c", "f"]
    assert [sorter.share(client) for client in "ebdcf"] == [
        Fraction(1, 40),
        Fraction(1, 25),
        Fraction(3, 50),
        Fraction(2, 25),
        Fraction(1, 10),
    ]
    sorter.deactivate("d")
    assert list(sorter.order()) == ["e", "b", "c", "f"]
    assert "d" in sorter
    sorter.activate("d")
    assert list(sorter.order()) == ["e", "b", "d", "c", "f"]


def test_a_weight_divides_the_share() -> None:
    sorter, _ = sorter_of({"cpus": 100, "mem": 100}, {"b": 2000}, a=(5, 5), b=(6, 6))
    assert list(sorter.order()) == ["b", "a"]
    assert sorter.share("b") == Fraction(3, 100)


def test_equal_shares_go_by_number_of_allocations_then_by_name() -> None:
    sorter, _ = sorter_of({"cpus": 100}, c=(0, 0), a=(0, 0), b=(0, 0))
    assert list(sorter.order()) == ["a", "b", "c"]
    sorter.charge("a", {"cpus": 1})
    sorter.discharge("a", {"cpus": 1})
    assert list(sorter.order()) == ["b", "c", "a"]
    sorter.deactivate("a")
    sorter.activate("a")
    assert sorter.count("a") == 1


def test_shares_that_doubles_confuse_are_told_apart_and_equal_ones_are_not() -> None:
    # 0.15/3 and 0.10/2 are the same; in binary floating point they are not.
    sorter, _ = sorter_of({"cpus": 1000}, {"a": 2000, "b": 3000}, b=(150, 0), a=(100, 0))
    assert list(sorter.order()) == ["a", "b"]


def test_the_papers_main_example() -> None:
    """9 CPUs, 18 GB; A's tasks take <1, 4>, B's <3, 1>: three and two tasks, both with a dominant share of 2/3."""
    demands = {"A": {"cpus": 1, "mem": 4}, "B": {"cpus": 3, "mem": 1}}
    sorter, totals = sorter_of({"cpus": 9, "mem": 18}, A=(0, 0), B=(0, 0))
    left = dict(totals.amounts_milli)
    picks = ""
    while True:
        fits = [name for name in sorter.order() if all(left[r] >= amount for r, amount in demands[name].items())]
        if not fits:
            break
        picks += fits[0]
        sorter.charge(fits[0], demands[fits[0]])
        left = {name: amount - demands[fits[0]].get(name, 0) for name, amount in left.items()}
    assert (picks.count("A"), picks.count("B")) == (3, 2)
    assert sorter.share("A") == sorter.share("B") == Fraction(2, 3)
    assert left == {"cpus": 0, "mem": 4}


def test_a_parent_that_is_a_client_competes_with_its_children() -> None:
    sorter, _ = sorter_of({"cpus": 100}, {"a": 2000})
    for client in ("a/b", "a", "c"):
        join(sorter, client)
    assert list(sorter.order()) == ["a", "a/b", "c"]
    sorter.charge("a", {"cpus": 10})
    assert list(sorter.order()) == ["c", "a/b", "a"]
    # The weight of a is the whole branch's, not its own leaf's.
    assert sorter.share("a") == Fraction(1, 20)
    assert sorter.client_share("a") == Fraction(1, 10)
    sorter.remove("a/b")
    assert list(sorter.order()) == ["c", "a"]
    assert sorter.allocated_milli("a") == {"cpus": 10}


def test_a_busy_branch_waits_although_one_of_its_children_has_nothing() -> None:
    sorter, _ = sorter_of({"cpus": 100})
    for client in ("a/b", "a/c", "d/e"):
        join(sorter, client)
    sorter.charge("a/b", {"cpus": 50})
    assert list(sorter.order()) == ["d/e", "a/c", "a/b"]


def test_an_inactive_parent_stays_hidden_behind_its_child() -> None:
    sorter, _ = sorter_of({"cpus": 100}, a=(10, 0), b=(6, 0))
    sorter.deactivate("a")
    join(sorter, "a/c", 5)
    assert list(sorter.order()) == ["b", "a/c"]


def test_two_hundred_levels() -> None:
    sorter, _ = sorter_of({"cpus": 100})
    deep = "/".join(["r"] * 200)
    join(sorter, deep, 5)
    join(sorter, "s", 4)
    assert list(sorter.order()) == ["s", deep]
    sorter.remove(deep)
    assert list(sorter.order()) == ["s"]


def test_a_resource_that_nobody_has_and_an_excluded_one_do_not_count() -> None:
    totals = ClusterTotals(excluded=("gold",))
    totals.change(added={"cpus": 100, "gold": 1}, removed={})
    assert totals.share({"cpus": 1, "gold": 1, "ghost": 5}, 1000) == Fraction(1, 100)
    assert totals.key({"cpus": 1}, 1000) == totals.key({"cpus": 1, "gold": 1, "ghost": 5}, 1000)


amounts = st.integers(0, 2**66)
wholes = st.integers(1, 2**66)
weights = st.integers(1, WEIGHT_LIMIT_MILLI)


@given(amounts, wholes, weights, amounts, wholes, weights)
def test_keys_order_as_fractions_do(a: int, x: int, v: int, b: int, y: int, w: int) -> None:
    totals = ClusterTotals()
    totals.change(added={"x": x, "y": y}, removed={})
    one, two = totals.key({"x": a}, v), totals.key({"y": b}, w)
    left, right = Fraction(a, x * v), Fraction(b, y * w)
    assert (one < two, one == two) == (left < right, left == right)


@pytest.mark.parametrize("missing", ["nobody", "nobody/else"])
def test_removing_somebody_unknown_is_nothing(missing: str) -> None:
    sorter, _ = sorter_of({"cpus": 1}, a=(0, 0))
    sorter.remove(missing)
    assert list(sorter.order()) == ["a"]
