"""What a simulation leaves behind: tables as CSV, one plot, and a summary for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from masterd.simulation.measures import Measures, quantile
from masterd.simulation.plot import Line, Panel, plot
from masterd.simulation.scenario import Scenario


def files(scenario: Scenario, measures: Measures) -> dict[str, str]:
    """File name → content."""
    return {
        "shares.csv": _csv(
            ("time_s", "framework", "role", "share", "weighted_share", "running", "waiting"),
            (
                (
                    _n(each.time_s),
                    each.framework,
                    each.role,
                    _n(each.share),
                    _n(each.weighted_share),
                    each.running,
                    each.waiting,
                )
                for each in measures.frameworks
            ),
        ),
        "utilisation.csv": _csv(
            ("time_s", "resource", "used", "offered"),
            (
                (_n(each.time_s), name, _n(used), _n(each.offered.get(name, 0.0)))
                for each in measures.cluster
                for name, used in each.used.items()
            ),
        ),
        "fairness.csv": _csv(
            ("time_s", "jain"),
            ((_n(each.time_s), "" if each.fairness is None else _n(each.fairness)) for each in measures.cluster),
        ),
        "waiting.csv": _csv(
            ("framework", "wanted_s", "started_s", "waited_s"),
            ((each.framework, _n(each.wanted_s), _n(each.started_s), _n(each.seconds)) for each in measures.waits),
        ),
        "plot.svg": plot(scenario.name, scenario.duration_s, _panels(measures)),
    }


def summary(measures: Measures) -> list[tuple[str, ...]]:
    """A line for each framework: mean share, tasks begun, and how long they waited: mean, 95 of 100, most."""
    lines: list[tuple[str, ...]] = []
    for name in dict.fromkeys(each.framework for each in measures.frameworks):
        shares = [each.share for each in measures.frameworks if each.framework == name]
        waits = sorted(each.seconds for each in measures.waits if each.framework == name)
        mean_s = sum(waits) / len(waits) if waits else 0.0
        words = (f"{sum(shares) / len(shares):.3f}", str(len(waits)), f"{mean_s:.1f}", f"{quantile(waits, 0.95):.1f}")
        lines.append((name, *words, f"{waits[-1] if waits else 0.0:.1f}"))
    return lines


def _n(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def _panels(measures: Measures) -> tuple[Panel, ...]:
    frameworks = dict.fromkeys(each.framework for each in measures.frameworks)
    shares = [
        Line(
            name=name, points=tuple((each.time_s, each.share) for each in measures.frameworks if each.framework == name)
        )
        for name in frameworks
    ]
    resources = dict.fromkeys(name for each in measures.cluster for name in each.used)
    used = [
        Line(name=name, points=tuple((each.time_s, each.used[name]) for each in measures.cluster if name in each.used))
        for name in resources
    ]
    fairness = tuple((each.time_s, each.fairness) for each in measures.cluster if each.fairness is not None)
    return (
        Panel(title="dominant share", lines=tuple(shares)),
        Panel(title="used part of the cluster", lines=tuple(used)),
        Panel(title="fairness among who waits (Jain)", lines=(Line(name="jain", points=fairness),)),
    )
