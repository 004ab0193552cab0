"""The paper's examples and what it proves, on the fluid form; whole tasks stay within one task of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from masterd.allocator.filling import Amounts, Filling, User, fluid, progressive

RESOURCES = ("cpus", "disk", "mem")

demands = st.fixed_dictionaries(dict.fromkeys(RESOURCES, st.integers(0, 12).map(Fraction))).filter(
    lambda demand: any(demand.values())
)
totals = st.fixed_dictionaries(dict.fromkeys(RESOURCES, st.integers(1, 200).map(Fraction)))
crowds = st.dictionaries(st.sampled_from("ABCDE"), demands.map(lambda demand: User(demand=demand)), min_size=1)


def tasks_in(bundle: Amounts, demand: Amounts) -> Fraction:
    """How many tasks of this demand fit into a bundle, divided at will."""
    return min(bundle.get(name, Fraction(0)) / amount for name, amount in demand.items() if amount)


def bundle_of(end: Filling, users: Mapping[str, User], name: str) -> Amounts:
    return {resource: amount * end.tasks[name] for resource, amount in users[name].demand.items()}


def test_the_papers_main_example_in_both_forms() -> None:
    whole = {"cpus": Fraction(9), "mem": Fraction(18)}
    users = {
        "A": User(demand={"cpus": Fraction(1), "mem": Fraction(4)}),
        "B": User(demand={"cpus": Fraction(3), "mem": Fraction(1)}),
    }
    for end in (fluid(whole, users), progressive(whole, users)):
        assert end.tasks == {"A": 3, "B": 2}
        assert end.shares == {"A": Fraction(2, 3), "B": Fraction(2, 3)}
        assert end.used == {"cpus": 9, "mem": 14}


@given(totals, crowds)
def test_nothing_is_given_twice(whole: Amounts, users: dict[str, User]) -> None:
    for end in (fluid(whole, users), progressive(whole, users)):
        assert all(end.used[name] <= amount for name, amount in whole.items())


@given(totals, crowds)
def test_sharing_incentive_nobody_is_worse_off_than_with_an_equal_part(whole: Amounts, users: dict[str, User]) -> None:
    end = fluid(whole, users)
    part = {name: amount / len(users) for name, amount in whole.items()}
    for name, user in users.items():
        assert end.tasks[name] >= tasks_in(part, user.demand)


@given(totals, crowds)
def test_envy_freeness_nobody_would_rather_have_what_another_has(whole: Amounts, users: dict[str, User]) -> None:
    end = fluid(whole, users)
    for name, user in users.items():
        for other in users:
            assert tasks_in(bundle_of(end, users, other), user.demand) <= end.tasks[name]


@given(totals, crowds)
def test_pareto_efficiency_nobody_could_have_more_of_what_is_left(whole: Amounts, users: dict[str, User]) -> None:
    end = fluid(whole, users)
    left = {name: amount - end.used[name] for name, amount in whole.items()}
    for user in users.values():
        assert tasks_in(left, user.demand) == 0


@given(totals, crowds, demands)
def test_strategy_proofness_a_lie_about_demands_gains_nothing(
    whole: Amounts, users: dict[str, User], lie: Amounts
) -> None:
    liar = min(users)
    honest = fluid(whole, users)
    lied = {**users, liar: replace(users[liar], demand=lie)}
    gained = tasks_in(bundle_of(fluid(whole, lied), lied, liar), users[liar].demand)
    assert gained <= honest.tasks[liar]


@given(totals, st.lists(st.integers(1, 9).map(Fraction), min_size=1, max_size=5))
def test_one_resource_is_shared_by_max_min(whole: Amounts, wanted: list[Fraction]) -> None:
    users = {str(number): User(demand={"cpus": Fraction(1)}, task_limit=limit) for number, limit in enumerate(wanted)}
    end = fluid({"cpus": whole["cpus"]}, users)
    level = max(end.tasks.values())
    for number, limit in enumerate(wanted):
        assert end.tasks[str(number)] in {limit, level}
    assert sum(end.tasks.values()) == min(whole["cpus"], sum(wanted))


@given(totals, crowds)
def test_whole_tasks_follow_the_lowest_share(whole: Amounts, users: dict[str, User]) -> None:
    """Whoever is picked had the lowest share of those whose next task fits."""
    end = progressive(whole, users)
    tasks = dict.fromkeys(users, 0)
    left = dict(whole)
    for pick in end.trace:
        fitting = [name for name, user in users.items() if all(user.demand[each] <= left[each] for each in whole)]
        shares = {name: tasks[name] * users[name].share_per_task(whole) for name in fitting}
        assert shares[pick.pick] == min(shares.values())
        tasks[pick.pick] += 1
        left = {name: amount - users[pick.pick].demand[name] for name, amount in left.items()}
    assert not [name for name, user in users.items() if all(user.demand[each] <= left[each] for each in whole)]
