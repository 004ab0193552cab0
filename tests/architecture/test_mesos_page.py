"""docs/mesos.md names settings and verbs that there are, with their defaults."""

import re
from dataclasses import fields

import pytest

import agentd.config
import masterd.config
from paddock.cli.__main__ import listed_verbs
from paddock.daemon.settings import DURATION_S, spec_of
from tests.architecture.source import ROOT

PAGE = (ROOT / "docs/mesos.md").read_text(encoding="utf-8")
SETTINGS = {
    spec.flag.replace("-", "_") or field.name: spec
    for settings in (agentd.config.Settings, masterd.config.MasterSettings)
    for field in fields(settings)
    for spec in [spec_of(field.metadata)]
}
ROWS = PAGE.partition("## Configuration")[2].partition("\n## ")[0].splitlines()
OURS = [row.split(" | ")[1] for row in ROWS if row.startswith("| ") and "Mesos' flag" not in row]


def test_settings_are_ours() -> None:
    named = [name for cell in OURS for name in re.findall(r"`([a-z_]+)`", cell)]
    assert len(named) > 30
    assert set(named) - set(SETTINGS) == {"drf", "random", "any"}


@pytest.mark.parametrize(
    ("name", "default"), [found for cell in OURS for found in re.findall(r"`(\w+)` \(([^`)]+)\)", cell)]
)
def test_defaults_are_ours(name: str, default: str) -> None:
    if default.startswith("all nine"):
        return
    told = default.partition(" for ")[0]
    spec = SETTINGS[name]
    if spec.placeholder == DURATION_S.placeholder:
        assert spec.parse(spec.default_text) == DURATION_S.parse(told.replace(" min", " mins"))
    else:
        assert told == spec.default_text


def test_verbs_are_ours() -> None:
    assert set(re.findall(r"`paddock ([a-z]+)", PAGE)) <= {verb for verb, _ in listed_verbs()}
