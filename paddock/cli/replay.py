"""`paddock replay`: lets what a master recorded happen again, and tells where something else comes of it."""

from __future__ import annotations

import argparse
import importlib
from typing import Protocol, cast


class Replay(Protocol):
    """What is used of `masterd.replay`."""

    def tell(self, path: str, *, until: int | None = None) -> tuple[int, str]:
        """The exit code, and what to print."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("recording", metavar="RECORDING", help="a file that masterd wrote with record_events")
    parser.add_argument("--until", type=int, metavar="N", help="only the first N events")


async def run(arguments: argparse.Namespace) -> int:
    """Replay, and say how it went."""
    # By name, when it runs: what the command line is made of does not know the daemons, and this needs the real master.
    module = cast("Replay", importlib.import_module("masterd.replay"))
    code, words = module.tell(arguments.recording, until=arguments.until)
    print(words)
    return code
