"""`paddock status`: the cluster at one look: who is there, what runs, what is free."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.describe import Line, show_lines
from paddock.cli.exit_codes import OK
from paddock.cli.output import Column, Row, add_style_arguments, age, moment, show
from paddock.model.resource_text import format_scalar

if TYPE_CHECKING:
    from paddock.rpc.clients.views import StateView

COLUMNS = (
    Column(title="RESOURCE"),
    Column(title="TOTAL"),
    Column(title="USED"),
    Column(title="OFFERED"),
    Column(title="FREE"),
    Column(title="RESERVED"),
    Column(title="STANDALONE", wide=True),
)

_UNITS = {"mem": "MiB", "disk": "MiB"}
NOTHING_NEW = "the master promises nothing new"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_style_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Print it; -o name: the master's id."""
    async with master_of(arguments) as master:
        state = await master.get_state()
    if arguments.output == "json":
        sys.stdout.write(state.document.strip() + "\n")
    elif arguments.output == "name":
        sys.stdout.write(f"{state.master.master_id}\n")
    else:
        show_lines(lines_of(state, time.time_ns()))
        sys.stdout.write("\n")
        show(COLUMNS, [row_of(state, name) for name in sorted(state.total_milli)], arguments)
    return OK


def lines_of(state: StateView, now_ns: int) -> Iterator[Line]:
    """All but the resources. Where there is nothing to count it says so."""
    master = state.master
    yield "Master", f"{master.master_id}, version {master.version}, at {master.address or 'no address of its own'}"
    yield "Since", f"{moment(state.started_ns)} ({age(state.started_ns, now_ns)}), epoch {master.epoch}"
    yield "Agents", _counts(state.agents)
    if special := {name: count for name, count in state.special_agents.items() if count}:
        yield "", f"of these {_counts(special)}"
    yield "Frameworks", _counts(state.frameworks)
    yield "Tasks", _counts(state.tasks)
    yield "Roles", str(state.role_count)
    yield "Offers", str(state.offer_count)
    if state.recovering:
        yield "Offers wait", "for the agents to come back, because roles have quotas"
    if state.problem:
        yield "Problem", f"{NOTHING_NEW}: {state.problem}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"


def row_of(state: StateView, name: str) -> Row:
    """One line. What is reserved is part of the total, used or not."""
    sums = (
        state.total_milli, state.used_milli, state.offered_milli, state.free_milli, state.reserved_milli,
        state.standalone_milli,
    )  # fmt: skip
    title = f"{name}/{_UNITS[name]}" if name in _UNITS else name
    return Row(name=name, cells=(title, *(format_scalar(each.get(name, 0)) for each in sums)), document="")
