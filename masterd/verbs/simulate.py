"""`paddock simulate`: a cluster in virtual time, to see what a policy does before anybody has to live with it."""

from __future__ import annotations

import argparse

SUMMARY = "run a scenario in virtual time: shares, waiting times and use of a cluster"
TITLES = ("FRAMEWORK", "MEAN SHARE", "TASKS", "MEAN WAIT S", "P95 WAIT S", "MAX WAIT S")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("scenario", metavar="SCENARIO", help="a YAML file, or the name of a scenario of ours")
    parser.add_argument("--into", metavar="DIR", default="simulation", help="where to write (default: ./simulation)")
    parser.add_argument("--seed", type=int, metavar="N", help="another seed than the scenario's")


async def run(arguments: argparse.Namespace) -> int:
    """Simulate, and print a line for each framework."""
    from masterd.simulation.command import simulate  # noqa: PLC0415 - not for --help
    from paddock.cli.exit_codes import OK  # noqa: PLC0415 - the same
    from paddock.cli.output import Column, Row, table  # noqa: PLC0415 - the same

    lines = simulate(arguments.scenario, arguments.into, seed=arguments.seed)
    rows = [Row(name=line[0], cells=line, document="") for line in lines]
    columns = [Column(title=title) for title in TITLES]
    print(table(columns, rows, wide=False, headers=True), end="")
    return OK
