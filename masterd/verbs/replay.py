"""`paddock replay`: lets what a master recorded happen again, and tells where something else comes of it."""

from __future__ import annotations

import argparse

SUMMARY = "let what a master recorded happen again, and tell where something else comes of it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("recording", metavar="RECORDING", help="a file that masterd wrote with record_events")
    parser.add_argument("--until", type=int, metavar="N", help="only the first N events")


async def run(arguments: argparse.Namespace) -> int:
    """Replay, and say how it went."""
    from masterd.replay import tell  # noqa: PLC0415 - not for --help

    code, words = tell(arguments.recording, until=arguments.until)
    print(words)
    return code
