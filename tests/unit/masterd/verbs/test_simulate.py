"""`paddock simulate`: files in a directory, a table on stdout, and what is wrong in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddock.cli.__main__ import main

SCENARIO = """
name: tiny
duration_s: 5
agents: [{name: n, resources: "cpus:4;mem:4096"}]
frameworks: [{name: f, role: a, phases: [{task: "cpus:1;mem:64", runs_s: 1, wanted: 4}]}]
"""


def test_a_file_is_simulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.yaml").write_text(SCENARIO, encoding="utf-8")
    assert main(["simulate", str(tmp_path / "tiny.yaml"), "--into", str(tmp_path / "out"), "--seed", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[:3] == ["FRAMEWORK", "MEAN", "SHARE"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "fairness.csv",
        "plot.svg",
        "shares.csv",
        "utilisation.csv",
        "waiting.csv",
    ]


def test_a_mistake_in_the_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yaml").write_text(SCENARIO.replace("wanted: 4", "wanted: many"), encoding="utf-8")
    assert main(["simulate", str(tmp_path / "bad.yaml"), "--into", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "frameworks[0].phases[0].wanted: 'many' is not accepted: write a whole number" in error
    assert not (tmp_path / "out").exists()


def test_an_unknown_scenario_lists_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "nothing", "--into", str(tmp_path)]) == 2
    assert "drf-dynamic" in capsys.readouterr().err
