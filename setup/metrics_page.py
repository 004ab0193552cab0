"""`python -m setup.metrics_page` prints docs/metrics.md from the daemons' families; a test holds the page to them."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from agentd.metrics import families as agentd
from masterd.metrics import families as masterd
from paddock.metrics.exposition import process_families
from paddock.metrics.families import Family

_HEAD = """# Metrics

Printed by `python -m setup.metrics_page` from the tables in `masterd/metrics/families.py` and `agentd/metrics/families.py`.
How to have them scraped, and which alerts are shipped, is in [monitoring](operations/monitoring.md).

Both daemons answer `GET /metrics` with OpenMetrics when it is asked for, else with Prometheus' older text. Counters begin at 0
when the daemon starts. What is asked again within half a second is answered with the same figures.
"""


def page() -> str:
    """The whole page."""
    process = [(f"`{name}`", kind, "", words) for name, kind, words in process_families()]
    return "\n".join(
        [
            _HEAD,
            "## masterd",
            "",
            *_table(_row(family) for family in masterd.FAMILIES),
            "",
            "## agentd",
            "",
            *_table(_row(family) for family in agentd.FAMILIES),
            "",
            "## Both: the process itself",
            "",
            *_table(process),
            "",
        ]
    )


def _row(family: Family) -> tuple[str, str, str, str]:
    return f"`{family.shown_name}`", family.kind.value, ", ".join(f"`{name}`" for name in family.labels), family.words


def _table(rows: Iterable[tuple[str, str, str, str]]) -> list[str]:
    return ["| Name | Kind | Labels | What it says |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


if __name__ == "__main__":
    sys.stdout.write(page())
