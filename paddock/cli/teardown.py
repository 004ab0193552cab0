"""`paddock teardown`: end a framework for good, and all its tasks."""

from __future__ import annotations

import argparse
import sys

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.quantities import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("framework", metavar="FRAMEWORK", help="the framework's id; it is never accepted again")
    parser.add_argument("--dry-run", action="store_true", help="say how many tasks it would kill, and change nothing")
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Returns when it is decided and durable; the tasks end by their kill policies."""
    from paddock.rpc.clients.lifecycle import LifecycleClient  # noqa: PLC0415 - loads gRPC

    async with master_of(arguments) as master:
        count = await LifecycleClient(master).teardown_framework(arguments.framework, validate_only=arguments.dry_run)
    would = "would kill" if arguments.dry_run else "kills"
    print(f"paddock teardown: {would} {counted(count, 'task')} of framework {arguments.framework}", file=sys.stderr)
    return OK
