"""Every case, with 40 orders of agents; and the cases can tell a wrong allocator from a right one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from masterd.allocator.accounts import Accounts
from masterd.allocator.branch import Branch
from masterd.allocator.drf import Sorter
from masterd.allocator.filters import Filter
from tests.conformance import run_cases
from tests.conformance.adapter import Adapter, make
from tests.conformance.functions import FUNCTIONS

HERE = Path(__file__).resolve().parent
DOCUMENT: dict[str, Any] = yaml.safe_load((HERE / "allocator_cases.yaml").read_text(encoding="utf-8"))
CASES: list[dict[str, Any]] = DOCUMENT["cases"]
OWN_CASES: list[dict[str, Any]] = yaml.safe_load((HERE / "own_cases.yaml").read_text(encoding="utf-8"))["cases"]
SEEDS = 40
RUNNER_ANSWERS_ITSELF = frozenset({"repeat", "drain_offers", "decline_all", "call"})


def run(case: dict[str, Any], seed: int) -> None:
    run_cases.RUN[case["kind"]](case, make(seed))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("case", [*CASES, *OWN_CASES], ids=lambda case: str(case["id"]))
def test_case(case: dict[str, Any]) -> None:
    # Only the allocator visits agents in random order; whatever else there is, is the same with every seed.
    for seed in range(SEEDS if case["kind"] in {"allocator", "master"} else 1):
        run(case, seed)


def operations(which: str) -> list[str]:
    return [name for name in DOCUMENT["schema"][which] if not name.startswith("expect_")]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("sorter", operations("sorter_ops")),
        ("allocator", operations("allocator_ops")),
        ("master", DOCUMENT["schema"]["master_ops"]),
    ],
)
def test_the_adapter_knows_every_operation(kind: str, names: list[str]) -> None:
    spoken_to = getattr(Adapter(0), kind)({})
    assert [name for name in names if name not in RUNNER_ANSWERS_ITSELF and not hasattr(spoken_to, name)] == []
    assert names


def test_the_adapter_knows_every_function() -> None:
    assert set(DOCUMENT["schema"]["functions"]) == set(FUNCTIONS)


def broken_cases() -> set[str]:
    """Which of the allocator's cases fail now."""
    failing = set()
    for case in CASES:
        if case["kind"] in {"sorter", "allocator"}:
            try:
                run(case, 0)
            except (run_cases.Fail, AssertionError, ValueError):
                failing.add(case["id"])
    return failing


def by_name_only(self: Sorter, branch: Branch) -> tuple[int, int, str, Branch]:
    """Equal shares by name, as if nobody had ever been chosen."""
    weight_milli = self._weights_milli.get(branch.path, 1000)
    return (self._totals.key(branch.allocated_milli, weight_milli), 0, branch.path, branch)


def no_headroom(self: Accounts, name: str) -> None:
    """Nothing is kept free for anybody."""


def never_hides(self: Filter, candidate: object) -> bool:
    """A refusal hides nothing."""
    return False


@pytest.mark.parametrize(
    ("owner", "name", "mutation", "turns_red"),
    [
        (Sorter, "_entry", by_name_only, {"FAIR-004"}),
        (Accounts, "headroom", no_headroom, {"QTA-008", "QTA-011", "HIER-017", "RSV-011"}),
        (Filter, "hides", never_hides, {"FLT-008", "FLT-011", "FLT-016"}),
    ],
    ids=["tie-break", "head-room", "filter"],
)
def test_a_planted_mutation_turns_cases_red(
    owner: type, name: str, mutation: Callable[..., object], turns_red: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert broken_cases() == set()
    monkeypatch.setattr(owner, name, mutation)
    assert broken_cases() >= turns_red


ADAPTER = sorted(set(HERE.glob("*.py")) - {HERE / "run_cases.py", HERE / "test_cases.py"})


@pytest.mark.parametrize("path", ADAPTER, ids=lambda path: str(path.name))
def test_the_adapter_only_translates(path: Path) -> None:
    """A short module for each kind, which knows no case by its name and writes down no amounts of resources to come."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert [case["id"] for case in CASES if case["id"] in text] == []
    assert not [source for case in CASES if (source := str(case.get("source", ""))) and source in text]
