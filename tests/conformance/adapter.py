"""What run_cases.py drives: the cases' words for the product's calls, and nothing else. One module for each kind."""

from __future__ import annotations

import random
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from masterd.allocator.filling import User, fluid, progressive
from tests.conformance import functions
from tests.conformance.allocator import AllocatorCase
from tests.conformance.master_questions import MasterQuestions
from tests.conformance.sorter import SorterCase

Words = Mapping[str, Any]


def make(seed: int) -> Adapter:
    return Adapter(seed)


class Adapter:
    def __init__(self, seed: int) -> None:
        self._seed = seed

    def sorter(self, config: Words) -> SorterCase:
        return SorterCase(config)

    def allocator(self, config: Words) -> AllocatorCase:
        return AllocatorCase(config, random.Random(self._seed))

    def master(self, config: Words) -> MasterQuestions:
        return MasterQuestions(config, random.Random(self._seed))

    def function(self, name: str, given: Any) -> Any:
        return functions.answer(name, given)

    def progressive(self, config: Words) -> Words:
        stop = config.get("on_no_fit", "skip_user") == "stop"
        totals, users = _fractions(config["totals"]), _users(config)
        end = progressive(totals, users, tie_break=config.get("tie_break", ()), stop_at_misfit=stop)
        trace = [{"pick": pick.user, "shares": pick.shares} for pick in end.picks]
        order = [pick.user for pick in end.picks]
        return {"tasks": end.tasks, "order": order, "shares": end.shares, "used": end.used, "trace": trace}

    def fluid(self, config: Words) -> Words:
        end = fluid(_fractions(config["totals"]), _users(config))
        return {"tasks": end.tasks, "shares": end.shares}


def _fractions(amounts: Words) -> dict[str, Fraction]:
    return {name: Fraction(str(amount)) for name, amount in amounts.items()}


def _users(config: Words) -> dict[str, User]:
    return {
        name: User(
            demand=_fractions(words["demand"]),
            weights=_fractions(
                weight
                if isinstance(weight := words.get("weight", 1), dict)
                else dict.fromkeys(config["totals"], weight)
            ),
            task_limit=Fraction(words["max_tasks"]) if "max_tasks" in words else None,
        )
        for name, words in config["users"].items()
    }
