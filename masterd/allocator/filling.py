"""Dominant Resource Fairness on one big machine, as its paper has it: the yardstick for what the offer cycle approaches.

`progressive` launches whole tasks one by one; `fluid` divides tasks at will and gives everybody the same weighted share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

Amounts = Mapping[str, Fraction]


class NoFit(Enum):
    """What becomes of the others when the next task does not fit: its user is passed over from then on, or all is over."""

    SKIP_USER = "skip_user"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """What one task needs, and how many tasks are wanted at most (None: any number). `weights`: by resource, or one."""

    demand: Amounts
    weights: Amounts | Fraction = Fraction(1)
    task_limit: Fraction | None = None

    def share_per_task(self, totals: Amounts) -> Fraction:
        """By how much a task raises the user's weighted dominant share."""
        weights = dict.fromkeys(totals, self.weights) if isinstance(self.weights, Fraction) else self.weights
        return max(
            (
                milli / (totals[name] * weights.get(name, Fraction(1)))
                for name, milli in self.demand.items()
                if milli and totals.get(name)
            ),
            default=Fraction(0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """Who got a task, and everybody's share afterwards."""

    pick: str
    shares: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """The end, and for whole tasks the way there: `order` is that of the picks."""

    tasks: Amounts
    shares: Amounts
    used: Amounts
    order: Sequence[str] = ()
    trace: Sequence[Pick] = ()


def progressive(
    totals: Amounts, users: Mapping[str, User], *, tie_break: Sequence[str] = (), on_no_fit: NoFit = NoFit.SKIP_USER
) -> Filling:
    """Always the lowest share next; equal shares by `tie_break`, then by name.

    The paper's pseudo-code ends (STOP) at the first task that does not fit.
    """
    rank = {user: number for number, user in enumerate(tie_break)}
    tasks = dict.fromkeys(users, Fraction(0))
    left = dict(totals)
    steps = {name: user.share_per_task(totals) for name, user in users.items()}
    waiting = {name for name, step in steps.items() if step}
    picks: list[Pick] = []
    while waiting:
        chosen = min(waiting, key=lambda name: (tasks[name] * steps[name], rank.get(name, len(rank)), name))
        user = users[chosen]
        if user.task_limit is not None and tasks[chosen] + 1 > user.task_limit:
            waiting.discard(chosen)
            continue
        if any(amount > left.get(name, Fraction(0)) for name, amount in user.demand.items()):
            if on_no_fit is NoFit.STOP:
                break
            waiting.discard(chosen)
            continue
        tasks[chosen] += 1
        for name, amount in user.demand.items():
            left[name] -= amount
        picks.append(Pick(pick=chosen, shares={name: tasks[name] * steps[name] for name in users}))
    return _filling(totals, users, tasks, picks)


def fluid(totals: Amounts, users: Mapping[str, User]) -> Filling:
    """All shares rise together; whoever needs what is used up, or has all the tasks that it wants, stops there."""
    steps = {name: user.share_per_task(totals) for name, user in users.items()}
    tasks = dict.fromkeys(users, Fraction(0))
    left = dict(totals)
    rising = {name for name, user in users.items() if steps[name] and not _needs_what_is_gone(user, left)}
    while rising:
        rise = min(_possible_rises(users, rising, steps, tasks, left))
        for name in rising:
            tasks[name] += rise / steps[name]
            for resource, amount in users[name].demand.items():
                left[resource] -= amount * rise / steps[name]
        rising = {
            name
            for name in rising
            if tasks[name] != users[name].task_limit and not _needs_what_is_gone(users[name], left)
        }
    return _filling(totals, users, tasks, [])


def _needs_what_is_gone(user: User, left: Amounts) -> bool:
    return any(amount and not left.get(name) for name, amount in user.demand.items())


def _possible_rises(
    users: Mapping[str, User], rising: set[str], steps: Amounts, tasks: Amounts, left: Amounts
) -> list[Fraction]:
    """How far all can rise until a resource is used up, or until somebody has enough."""
    rises = []
    for resource, amount in left.items():
        speed = sum((users[name].demand.get(resource, Fraction(0)) / steps[name] for name in rising), Fraction(0))
        if speed:
            rises.append(amount / speed)
    for name in rising:
        limit = users[name].task_limit
        if limit is not None:
            rises.append((limit - tasks[name]) * steps[name])
    return rises


def _filling(totals: Amounts, users: Mapping[str, User], tasks: Amounts, picks: list[Pick]) -> Filling:
    used = {
        resource: sum(
            (tasks[name] * user.demand.get(resource, Fraction(0)) for name, user in users.items()), Fraction(0)
        )
        for resource in totals
    }
    shares = {name: tasks[name] * user.share_per_task(totals) for name, user in users.items()}
    return Filling(tasks=tasks, shares=shares, used=used, order=[each.pick for each in picks], trace=picks)
