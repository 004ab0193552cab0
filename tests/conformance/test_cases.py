"""Every case, with 40 orders of agents; and the cases can tell a wrong allocator from a right one."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from masterd.allocator.accounts import Accounts
from masterd.allocator.branch import Branch
from masterd.allocator.drf import Sorter
from masterd.allocator.filters import Filter
from paddock.model.errors import InvalidRequest
from tests.conformance import run_cases
from tests.conformance.adapter import FUNCTIONS, make

HERE = Path(__file__).resolve().parent
DOCUMENT: dict[str, Any] = yaml.safe_load((HERE / "allocator_cases.yaml").read_text(encoding="utf-8"))
CASES: list[dict[str, Any]] = DOCUMENT["cases"]
OWN_CASES: list[dict[str, Any]] = yaml.safe_load((HERE / "own_cases.yaml").read_text(encoding="utf-8"))["cases"]
SEEDS = 40
OWN_SEEDS = 10
RUNNER_ANSWERS_ITSELF = frozenset({"repeat", "drain_offers", "decline_all", "call"})


@pytest.fixture(autouse=True, scope="module")
def packages_are_looked_through_once() -> Iterator[None]:
    """There is a new master for each seed, and each looks for an allocator among all that is installed: 10 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("masterd.allocators.entry_points", cache(metadata.entry_points))
        yield


def run(case: dict[str, Any], seed: int) -> None:
    run_cases.RUN[case["kind"]](case, make(seed))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("case", [*CASES, *OWN_CASES], ids=lambda case: str(case["id"]))
def test_case(case: dict[str, Any]) -> None:
    # Only the allocator visits agents in random order; whatever else there is, is the same with every seed.
    seeds = SEEDS if case in CASES else OWN_SEEDS
    for seed in range(seeds if case["kind"] in {"allocator", "master"} else 1):
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
    spoken_to = getattr(make(0), kind)({})
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


@pytest.mark.parametrize(
    ("kind", "config", "operation", "words"),
    [
        ("sorter", {"colour": "red"}, "order", None),
        ("sorter", {}, "agent", {"id": "A", "total": {}, "colour": "red"}),
        ("sorter", {}, "allocate", {"client": "a", "resources": {}, "colour": "red"}),
        ("allocator", {"colour": "red"}, "resume", True),
        ("allocator", {}, "add_agent", {"id": "A", "total": {}, "colour": "red"}),
        (
            "allocator",
            {},
            "add_agent",
            {"id": "A", "total": {}, "attributes": [{"name": "a", "value": 1, "colour": 1}]},
        ),
        ("allocator", {}, "add_framework", {"id": "f", "roles": ["r"], "colour": "red"}),
        ("allocator", {}, "set_quota", {"role": "r", "colour": {"cpus": 1}}),
        ("allocator", {}, "suppress", {"framework": "f", "colour": "red"}),
        ("allocator", {}, "recover_master", {"expected_agents": 1, "quotas": {"r": {"colour": {"cpus": 1}}}}),
        ("allocator", {}, "atomically", [{"set_quota": {"role": "r", "colour": {"cpus": 1}}}]),
        ("master", {"colour": "red"}, "master_failover", {}),
        ("master", {}, "agent", {"id": "A", "total": {}, "colour": "red"}),
        ("master", {}, "framework", {"id": "f", "roles": ["r"], "colour": "red"}),
        ("master", {}, "call", {"name": "UPDATE_QUOTA", "args": [{"role": "r", "colour": {}}], "expect": "ok"}),
        (
            "master",
            {},
            "call",
            {"api": "scheduler", "name": "ACCEPT", "args": {"agent": "A", "colour": "red"}, "expect": "bad_request"},
        ),
        ("master", {}, "call", {"name": "UPDATE_COLOUR", "args": {"colour": "red"}, "expect": "ok"}),
    ],
)
def test_a_word_that_the_schema_does_not_have_is_refused_by_name(
    kind: str, config: dict[str, Any], operation: str, words: object
) -> None:
    with pytest.raises((InvalidRequest, AttributeError), match=r"(?i)\bcolour\b|_COLOUR\b"):
        getattr(getattr(make(0), kind)(config), operation)(words)


def test_an_operation_or_a_function_that_the_schema_does_not_have_is_refused_by_name() -> None:
    for kind in ("sorter", "allocator", "master"):
        with pytest.raises(AttributeError, match="paint"):
            getattr(make(0), kind)({}).paint()
    with pytest.raises(KeyError, match="paint"):
        make(0).function("paint", "red")
    with pytest.raises(InvalidRequest, match="colour"):
        make(0).function("offerable_to", {"resource": "cpus", "role": "r", "colour": "red"})
    with pytest.raises(InvalidRequest, match="colour"):
        getattr(make(0).master({}), "expect_agent")({"id": "A", "state": "gone", "colour": "red"})  # noqa: B009
    assert make(0).master({}).expect_role({"role": "r", "colour": "red"}) is not True


ADAPTER = [HERE / name for name in ("adapter.py", "words.py")]
ADAPTER_LIMIT_LINES = 300
ARITHMETIC = {"amounts / 1000", "value.milli / 1000", "[resource_of(key, size, place)] * copies"}


def test_there_is_nothing_else_of_the_adapter() -> None:
    """Two modules, short together, and what they import is the product's."""
    others = {"run_cases.py", "test_cases.py"}
    assert {path for path in HERE.glob("*.py") if path.name not in others} == set(ADAPTER)
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in ADAPTER) <= ADAPTER_LIMIT_LINES
    for path in ADAPTER:
        text = path.read_text(encoding="utf-8")
        ours = set(re.findall(r"^from ((?!masterd|paddock)\S*\.\S*)", text, flags=re.MULTILINE))
        assert ours <= {"collections.abc", "tests.conformance.words"}, path


@pytest.mark.parametrize("path", ADAPTER, ids=lambda path: str(path.name))
def test_the_adapter_only_translates(path: Path) -> None:
    """It knows no case, and the only arithmetic is that of units and of the clock."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    operations = [node for node in ast.walk(tree) if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.BitOr)]
    assert {ast.unparse(node) for node in operations} - ARITHMETIC == set()
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"sum", "min", "max"}
    cases = [*CASES, *OWN_CASES]
    assert [case["id"] for case in cases if case["id"] in text] == []
    assert not [source for case in cases if (source := str(case.get("source", ""))) and source in text]
