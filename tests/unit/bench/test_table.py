from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.table import Figure, Goal, render, write_json


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (None, 1.0, ""),
        (Goal(at_most=0.38), 0.38, "reached"),
        (Goal(at_most=0.38), 0.381, "missed"),
        (Goal(at_least=1.3), 1.3, "reached"),
        (Goal(at_least=1.3), 1.29, "missed"),
    ],
)
def test_a_goal_is_reached_at_its_bar(goal: Goal | None, value: float, verdict: str) -> None:
    assert Figure(name="x", value=value, unit="ratio", runs=1, goal=goal).verdict() == verdict


def test_the_table_has_a_line_for_each_figure_with_value_goal_and_verdict() -> None:
    figures = [
        Figure(name="launch_rate_vs_crun", value=1.5, unit="ratio", runs=7, peer="crun", goal=Goal(at_least=1.3)),
        Figure(name="shim_pss_kib", value=12345.6, unit="KiB", runs=100),
    ]
    header, first, second = render(figures).splitlines()
    assert header.split() == ["figure", "value", "unit", "goal", "against", "runs"]
    assert first.split() == ["launch_rate_vs_crun", "1.5", "ratio", ">=", "1.3", "reached", "crun", "7"]
    assert second.split() == ["shim_pss_kib", "12,346", "KiB", "100"]


def test_the_file_is_a_list_with_the_fixed_keys(tmp_path: Path) -> None:
    figures = [
        Figure(name="a", value=0.25, unit="ratio", runs=3, peer="crun run", goal=Goal(at_most=0.38)),
        Figure(name="b", value=2.0, unit="s", runs=1),
    ]
    path = tmp_path / "build" / "bench.json"
    write_json(figures, path)
    assert json.loads(path.read_text()) == [
        {"name": "a", "value": 0.25, "unit": "ratio", "peer": "crun run", "goal": "<= 0.38", "runs": 3},
        {"name": "b", "value": 2.0, "unit": "s", "peer": None, "goal": None, "runs": 1},
    ]
    assert [entry.name for entry in path.parent.iterdir()] == ["bench.json"]
