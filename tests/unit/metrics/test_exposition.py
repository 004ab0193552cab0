"""The text: what a parser of it reads back is what was put in, in both formats, whatever the labels are."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from agentd.metrics import families as agent_families
from masterd.metrics import families as master_families
from paddock.metrics.exposition import process_families, render
from paddock.metrics.families import Family, Kind, Sample, counter, gauge, info, seconds
from paddock.metrics.histogram import Histogram

ALL = (*master_families.FAMILIES, *agent_families.FAMILIES)
THINGS = gauge("test_things", "Things.", "name")


def parsed(families: tuple[Family, ...], samples: list[Sample], *, openmetrics: bool) -> dict[tuple[str, ...], float]:
    _, text = render(families, samples, openmetrics=openmetrics)
    parse = parse_openmetrics if openmetrics else parse_plain
    found = {}
    for family in parse(text.decode()):
        for sample in family.samples:
            found[sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items()))] = sample.value
    return found


@pytest.mark.parametrize("openmetrics", [True, False])
def test_each_kind_is_read_back(openmetrics: bool) -> None:
    done, build, took = (
        counter("test_done", "Done.", "how"),
        info("test_build", "Build.", "version"),
        seconds("t", "T."),
    )
    histogram = Histogram((0.5, 1.0))
    for value in (0.1, 0.5, 3.0):
        histogram.observe(value)
    samples = [done.sample(3, "well"), build.sample(1, "1.2"), took.sample(histogram), THINGS.sample(2.5, "a")]
    found = parsed((done, build, took, THINGS), samples, openmetrics=openmetrics)
    assert found["test_done_total", "how=well"] == 3
    assert found["test_build_info", "version=1.2"] == 1
    assert found["test_things", "name=a"] == 2.5
    assert found["t_seconds_bucket", "le=0.5"] == 2
    assert found["t_seconds_bucket", "le=+Inf"] == 3
    assert found["t_seconds_count",] == 3
    assert found["t_seconds_sum",] == pytest.approx(3.6)
    assert found["process_resident_memory_bytes",] > 0


@settings(max_examples=50)
@given(st.text(), st.booleans())
def test_a_strangers_name_is_a_label_and_nothing_else(name: str, openmetrics: bool) -> None:
    name = name.encode(errors="replace").decode()
    found = parsed((THINGS,), [THINGS.sample(7, name), THINGS.sample(8, f"{name}-")], openmetrics=openmetrics)
    assert found["test_things", f"name={name}"] == 7
    assert sum(key[0] == "test_things" for key in found) == 2


def test_a_name_that_does_not_end_with_its_unit_is_a_defect() -> None:
    with pytest.raises(ValueError, match="does not end with its unit seconds"):
        gauge("test_age", "Age.", unit="seconds")


def test_promtool_finds_nothing_to_say_about_any_family() -> None:
    """Names, kinds, units and words by Prometheus' conventions, also of those that no test makes happen."""
    samples = [
        family.sample(Histogram() if family.kind is Kind.HISTOGRAM else 1, *("x" for _ in family.labels))
        for family in ALL
    ]
    _, text = render(ALL, samples, openmetrics=False)
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_promtool_would_find_something() -> None:
    bad = Family(name="test_things_total", kind=Kind.GAUGE, words="")
    _, text = render((bad,), [bad.sample(1)], openmetrics=False)
    assert (
        subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False).returncode != 0
    )


def test_every_family_begins_with_its_daemon_and_no_name_is_taken_twice() -> None:
    assert all(family.name.startswith("masterd_") for family in master_families.FAMILIES)
    assert all(family.name.startswith("agentd_") for family in agent_families.FAMILIES)
    names = [family.shown_name for family in ALL] + [name for name, _, _ in process_families()]
    assert len(names) == len(set(names))
    assert all(family.words.endswith(".") for family in ALL)
