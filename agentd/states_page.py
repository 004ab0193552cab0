"""`python -m agentd.states_page` prints docs/states.md from the tables; a test holds the page to them."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from agentd.core import container_states, health, task_states
from agentd.docker import breaker

_HEAD = """# States

Printed by `python -m agentd.states_page` from the tables of the agent. What has no row cannot happen: the machine
raises InvalidTransition, and nothing changes. The master's tables are in the master's page: [agents](master.md#agents),
[draining agents](master.md#draining), [frameworks](master.md#frameworks).
"""


def page() -> str:
    """The whole page."""
    containers = [(a.name, happened.name, b.name) for (a, happened), b in container_states.TABLE.items()]
    tasks = [(a.name, when, b.name) for (a, b), when in task_states.TABLE.items()]
    checks = [(a.name, found.name, b.name) for (a, found), b in health.TABLE.items()]
    circuits = [(a.name, happened.name, b.name) for (a, happened), b in breaker.TABLE.items()]
    return "\n".join(
        [
            _HEAD,
            "## Containers (`agentd/core/container_states.py`)",
            "",
            *_diagram(containers),
            "",
            *_table(("State", "What happens", "Then"), containers),
            "",
            "## Tasks, as their agent tells them (`agentd/core/task_states.py`)",
            "",
            *_diagram([(a, "", b) for a, _, b in tasks]),
            "",
            *_table(("State", "When", "Then"), tasks),
            "",
            "## A task's health (`agentd/core/health.py`)",
            "",
            *_diagram(checks),
            "",
            *_table(("Health", "What the check found", "Then"), checks),
            "",
            "## The circuit to the Docker engine (`agentd/docker/breaker.py`)",
            "",
            *_diagram(circuits),
            "",
            *_table(("Circuit", "What happened", "Then"), circuits),
            "",
        ]
    )


def _diagram(rows: Iterable[tuple[str, str, str]]) -> list[str]:
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {a} --> {b}" + (f" : {label}" if label else "") for a, label, b in rows if a != b]
    return [*lines, "```"]


def _table(head: tuple[str, str, str], rows: Iterable[tuple[str, str, str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


if __name__ == "__main__":
    sys.stdout.write(page())
