"""The alert rules that are shipped: Prometheus' own tool takes them, they speak of metrics that exist, each is explained."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from agentd.metrics.families import FAMILIES as AGENTD
from masterd.metrics.families import FAMILIES as MASTERD
from paddock.metrics.families import Kind
from tests.architecture.source import ROOT

RULES = ROOT / "monitoring/alerts.yml"
TESTS = ROOT / "monitoring/alerts_test.yml"


def rules() -> list[dict[str, Any]]:
    found = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in found["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("words", [("check", "rules", RULES), ("test", "rules", TESTS)], ids=lambda words: words[0])
def test_promtool_takes_them_and_each_speaks_when_it_should(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_series_in_them_is_one_that_a_daemon_tells() -> None:
    known: dict[str, set[str]] = {}
    for family in (*AGENTD, *MASTERD):
        suffix = "_bucket" if family.kind is Kind.HISTOGRAM else ""
        known[f"{family.shown_name}{suffix}"] = {*family.labels, "instance", "le"}
    for text in (*(rule["expr"] for rule in rules()), TESTS.read_text(encoding="utf-8")):
        for name, labels in re.findall(r"\b((?:agentd|masterd)_\w+)(?:\{([^}]*)\})?", text):
            assert name in known, f"{name} is no series of ours"
            assert set(re.findall(r"(\w+)[!=]", labels)) <= known[name], f"{name} has no such label: {labels}"


def test_each_has_its_row_in_the_operators_page_and_its_test() -> None:
    names = [rule["alert"] for rule in rules()]
    page = (ROOT / "docs/operations/monitoring.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (Paddock\w+) \|", page, re.MULTILINE) == names
    tests = TESTS.read_text(encoding="utf-8")
    assert [name for name in names if f'alertname="{name}"' not in tests] == []


def test_each_says_what_to_do() -> None:
    for rule in rules():
        assert rule["annotations"].keys() == {"summary", "remedy"}, rule
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
