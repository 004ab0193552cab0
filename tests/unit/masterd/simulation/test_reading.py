"""Mappings become arguments by their names and annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masterd.simulation.operators import Operator
from masterd.simulation.reading import Reader, UnknownWord, find
from paddock.model.errors import InvalidRequest
from paddock.model.ids import AgentId
from paddock.model.resource_text import Attribute, parse_resources
from paddock.model.resources import Milli, Resource, Resources, Scalar


class Colour(Enum):
    RED = "red"
    DARK_BLUE = "dark"


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int = 1
    hue: Colour | None = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = Inner()
    label: str


def wanted(
    agent_id: AgentId,
    outer: Outer,
    held: Mapping[tuple[AgentId, str], Resources] | None = None,
    minimum: tuple[Mapping[str, Milli], ...] = (),
    wait_ms: int | None = None,
    life_ns: int = 0,
    roles: frozenset[str] = frozenset(),
    *,
    force: bool = False,
) -> object:
    return agent_id, outer, held, minimum, wait_ms, life_ns, roles, force


def nothing() -> str:
    return "called"


def read(target: object, content: object) -> dict[str, object]:
    return Reader().arguments(target, content, "call")


def test_names_give_the_units_and_dataclasses_may_be_said_flat() -> None:
    said = {
        "agent": "a1",
        "label": 5,
        "hue": "DARK_BLUE",
        "held": {"a1": {"r": {"cpus": 1}}},
        "minimum": [{"cpus": 0.5}],
        "wait_seconds": 0.0001,
        "life": 1.5,
        "roles": ["x"],
        "force": True,
    }
    assert read(wanted, said) == {
        "agent_id": "a1",
        "outer": Outer(inner=Inner(hue=Colour.DARK_BLUE), label="5"),
        "held": {("a1", "r"): parse_resources("cpus:1")},
        "minimum": ({"cpus": 500},),
        "wait_ms": 1,
        "life_ns": 1_500_000_000,
        "roles": frozenset({"x"}),
        "force": True,
    }
    assert read(wanted, {"id": "a", "outer": {"inner": {"depth": 2}, "label": "x"}, "roles": None, "wait_s": None}) == {
        "agent_id": "a",
        "outer": Outer(inner=Inner(depth=2), label="x"),
    }


def test_what_is_no_mapping_is_the_first_and_a_mapping_may_be_the_only_one() -> None:
    assert read(Operator.teardown, "f1") == {"framework_id": "f1"}
    assert read(Operator.update_weights, {"a": 2, "force": 1}) == {"weights": {"a": 2, "force": 1}}
    assert Reader().call(nothing, True, "call") == "called"
    found: Any = read(Operator.update_quota, [{"role": "r", "limits": {"cpus": 0}}])["quotas"]
    assert found[0].limits.items == (Resource(name="cpus", value=Scalar(milli=0)),), "a limit of nothing is one"


def test_a_value_of_several_kinds_is_the_first_that_takes_it() -> None:
    def target(attributes: Sequence[Attribute], share: Fraction) -> None: ...

    found = read(target, {"attributes": [{"name": "a", "value": 5}, {"name": "b", "value": "5"}], "share": 0.1})
    assert found == {
        "attributes": (Attribute(name="a", value=Scalar(milli=5_000)), Attribute(name="b", value="5")),
        "share": Fraction(1, 10),
    }


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({"agent": "a", "label": "x", "labell": "y"}, UnknownWord, "call.labell: .*did you mean 'label'"),
        ({"label": "x"}, InvalidRequest, "call.agent_id: None .*needed"),
        ({"agent": "a"}, InvalidRequest, "call.label: None .*needed"),
        ({"agent": "a", "label": "x", "force": 1}, InvalidRequest, "call.force: 1 .*true or false"),
        ({"agent": "a", "label": "x", "hue": "green"}, InvalidRequest, "call.hue: 'green' .*RED, DARK_BLUE"),
        ({"agent": "a", "label": "x", "depth": 1.5}, InvalidRequest, "call.depth: 1.5 .*whole number"),
        ({"agent": "a", "label": "x", "wait": "long"}, InvalidRequest, "call.wait: 'long' .*number"),
        ({"agent": "a", "label": "x", "roles": "r"}, InvalidRequest, "call.roles: 'r' .*list"),
        ({"agent": "a", "label": "x", "held": {"a": 1}}, InvalidRequest, "call.held.a: 1 .*mapping"),
        ({"agent": "a", "label": "x", "held": {"a": {"r": {"cpus": -1}}}}, InvalidRequest, "call.held.a.r"),
        ({"agent": ["a"], "label": "x"}, InvalidRequest, "call.agent: .*text"),
        ("a", InvalidRequest, "call: 'a' .*write a mapping"),
    ],
)
def test_a_mistake_is_named_with_its_place(said: object, error: type[InvalidRequest], words: str) -> None:
    with pytest.raises(error, match=words):
        read(wanted, said)


def test_the_first_who_has_an_operation_hears_it() -> None:
    assert find("real", (3, 4 + 0j)) is None, "it is no call"
    assert find("conjugate", ("text", 3)) == (3).conjugate
    assert find("_private", (object(),)) is None


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=6,
)
_NAMES = st.sampled_from(["agent", "label", "hue", "held", "minimum", "wait", "life_s", "roles", "force", "outer"])


@settings(max_examples=60, deadline=None)
@given(said=st.dictionaries(_NAMES, _VALUES, max_size=6) | _VALUES)
def test_whatever_is_said_is_read_or_refused(said: object) -> None:
    with suppress(InvalidRequest):
        wanted(**read(wanted, said))  # type: ignore[arg-type]  # that is what is shown
