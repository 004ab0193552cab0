"""Scenario files: what is read, and what is refused, with field, value and remedy."""

from __future__ import annotations

from contextlib import suppress

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from masterd.simulation.command import read, shipped
from masterd.simulation.laws import Constant, Exponential, Uniform
from masterd.simulation.scenario import SIZE_LIMIT_BYTES, Scenario, parse_scenario
from paddock.model.errors import InvalidRequest

GOOD = """
name: small
duration_s: 10
agents: [{name: n, count: 2, resources: "cpus:4;mem:4096"}]
roles: [{name: a/b, weight: 2, guarantees: "cpus:1"}]
frameworks:
  - {name: f, role: a/b, phases: [{task: "cpus:1;mem:64", runs_s: {exponential: 3}, wanted: 4}]}
  - {name: g, role: c, count: 2, leaves_s: 9, phases: [{task: "cpus:1", runs_s: {uniform: [1, 2]}, every_s: 0.5}]}
failures: [{at_s: 5, agent: n-2, for_s: 1}, {at_s: 3, framework: g-1}]
"""


def test_a_scenario_is_read_with_mesos_numbers_as_defaults() -> None:
    scenario = parse_scenario(GOOD)
    assert (scenario.seed, scenario.sample_s, scenario.allocator, scenario.allocation_interval_s) == (
        1,
        1.0,
        "drf",
        1.0,
    )
    assert [framework.name for framework in scenario.frameworks] == ["f", "g-1", "g-2"]
    assert scenario.frameworks[0].phases[0].runs == Exponential(mean_s=3.0)
    assert scenario.frameworks[1].phases[0].runs == Uniform(low_s=1.0, high_s=2.0)
    assert scenario.frameworks[1].phases[0].every == Constant(seconds=0.5)
    assert scenario.frameworks[0].refuse_s == 5.0
    assert scenario.roles[0].quota.guarantees_milli == {"cpus": 1_000}
    assert parse_scenario(GOOD, seed=7).seed == 7


@pytest.mark.parametrize("name", shipped())
def test_what_is_shipped_is_valid(name: str) -> None:
    assert parse_scenario(read(name)).name == name


def test_the_experiment_of_the_paper_is_shipped() -> None:
    assert "drf-dynamic" in shipped()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("duration_s: 10", "duration_s: 0", "duration_s: 0 .*number between 1 and"),
        ("duration_s: 10", "duration_s: .nan", "duration_s: nan"),
        ("duration_s: 10", "duration_s: soon", "duration_s: 'soon'"),
        ("duration_s: 10", "", "duration_s: None"),
        ("duration_s: 10", "duration_s: 10\nsample_s: 0.00001", "sample_s"),
        ("duration_s: 10", "duration_s: 2000000\nsample_s: 0.01", "sample_s: 0.01 .*look less often"),
        ("duration_s: 10", "duration_s: 10\nallocator: fair", "allocator: 'fair' .*known are drf, random"),
        ("duration_s: 10", "duration_s: 10\nframework: []", "framework: .*did you mean 'frameworks'"),
        ("count: 2, resources", "count: 2.5, resources", r"agents\[0\].count: 2.5 .*whole number"),
        ("count: 2, resources", "count: 100001, resources", r"agents\[0\].count: 100001"),
        ("cpus:4;mem:4096", "cpus:four", r"agents\[0\].resources"),
        ('resources: "cpus:4;mem:4096"', "resources: [1]", r"agents\[0\].resources: \[1\]"),
        ("weight: 2", "weight: 0", r"roles\[0\].weight: 0"),
        ('guarantees: "cpus:1"', 'guarantees: "ports:[1-2]"', r"roles\[0\].guarantees.ports"),
        ("name: a/b", "name: a//b", r"roles\[0\].name: 'a//b'"),
        ("role: c", 'role: "-"', r"frameworks\[1\].role"),
        ("leaves_s: 9", "leaves_s: 0", r"frameworks\[1\].leaves_s: 0"),
        ("{exponential: 3}", "{normal: 3}", r"frameworks\[0\].phases\[0\].runs_s: .*exponential: mean"),
        ("{exponential: 3}", "{exponential: -3}", r"runs_s.exponential: -3"),
        ("[1, 2]", "[2, 1]", r"runs_s: .*uniform: \[from, to\]"),
        ("[1, 2]", "[2, x]", r"runs_s.uniform\[1\]: 'x'"),
        ("every_s: 0.5", "every_s: 0.5, wanted: 3", r"phases\[0\].every_s"),
        ('task: "cpus:1"', 'task: "ports:[1-2]"', r"phases\[0\].task: 'ports'"),
        ("wanted: 4", 'wanted: 4}, {from_s: 0, task: "cpus:1", runs_s: 1', r"phases: \[0.0, 0.0\] .*order them"),
        ("agent: n-2", "agent: n-3", r"failures\[0\].agent: 'n-3' .*n-1"),
        ("framework: g-1", "framework: g", r"failures\[1\].framework: 'g'"),
        ("framework: g-1", "framework: g-1, agent: n-1", r"failures\[1\]: .*one agent or one framework"),
        ("framework: g-1", "framework: g-1, master: true", r"failures\[1\]: .*or master: true"),
        ("framework: g-1", "master: 1", r"failures\[1\].master: 1 .*write true or false"),
        ("framework: g-1", "master: true", r"failures\[1\].for_s: .*find the master again"),
        ("name: g,", "name: f, count: 1, x: 1,", "is no YAML|known are"),
        ("name: small", "name: [small", "no YAML"),
    ],
)
def test_a_mistake_is_named_with_its_place(old: str, new: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(InvalidRequest, match=words):
        parse_scenario(GOOD.replace(old, new, 1))


def test_names_are_unique() -> None:
    with pytest.raises(InvalidRequest, match="frameworks: 'g-1' .*each name once"):
        parse_scenario(GOOD.replace("name: f,", "name: g-1,"))


def test_a_huge_file_is_not_even_parsed() -> None:
    with pytest.raises(InvalidRequest, match="at most"):
        parse_scenario("#" * (SIZE_LIMIT_BYTES + 1))


def test_a_file_that_is_not_there_lists_what_is_shipped() -> None:
    with pytest.raises(InvalidRequest, match="SCENARIO: 'nowhere.yaml' .*drf-dynamic"):
        read("nowhere.yaml")


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
_PLACES = [
    ("duration_s",),
    ("seed",),
    ("agents", 0, "count"),
    ("agents", 0, "resources"),
    ("roles", 0),
    ("roles", 0, "guarantees"),
    ("frameworks",),
    ("frameworks", 1, "role"),
    ("frameworks", 1, "leaves_s"),
    ("frameworks", 0, "phases", 0, "runs_s"),
    ("frameworks", 0, "phases", 0, "task"),
    ("frameworks", 1, "phases", 0, "runs_s", "uniform"),
    ("frameworks", 1, "phases", 0, "every_s"),
    ("failures", 0, "agent"),
    ("failures", 1, "at_s"),
]


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(_PLACES), value=_VALUES)
def test_whatever_stands_in_a_field_is_taken_or_refused_by_name(place: tuple[str | int, ...], value: object) -> None:
    content = node = yaml.safe_load(GOOD)
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value
    with suppress(InvalidRequest):
        assert isinstance(parse_scenario(yaml.safe_dump(content)), Scenario)
