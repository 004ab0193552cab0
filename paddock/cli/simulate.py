"""`paddock simulate`: a cluster in virtual time, to see what a policy does before anybody has to live with it."""

from __future__ import annotations

import argparse
import importlib
from typing import Protocol, cast

from paddock.cli.exit_codes import OK
from paddock.cli.output import Column, Row, table

COLUMNS = tuple(
    Column(title=title) for title in ("FRAMEWORK", "MEAN SHARE", "TASKS", "MEAN WAIT S", "P95 WAIT S", "MAX WAIT S")
)


class Simulation(Protocol):
    """What is used of `masterd.simulation.command`."""

    def shipped(self) -> list[str]:
        """The scenarios that come with Paddock."""
        ...

    def simulate(self, name: str, directory: str, *, seed: int | None = None) -> list[tuple[str, ...]]:
        """Run it, and write the files."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("scenario", metavar="SCENARIO", help="a YAML file, or the name of a scenario of ours")
    parser.add_argument("--into", metavar="DIR", default="simulation", help="where to write (default: ./simulation)")
    parser.add_argument("--seed", type=int, metavar="N", help="another seed than the scenario's")


async def run(arguments: argparse.Namespace) -> int:
    """Simulate, and print a line for each framework."""
    # By name, when it runs: what the command line is made of does not know the daemons, and this needs the real master.
    simulation = cast("Simulation", importlib.import_module("masterd.simulation.command"))
    lines = simulation.simulate(arguments.scenario, arguments.into, seed=arguments.seed)
    rows = [Row(name=line[0], cells=line, document="") for line in lines]
    print(table(COLUMNS, rows, wide=False, headers=True), end="")
    return OK
