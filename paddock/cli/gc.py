"""`paddock gc`: remove what is out of place on this host and provably ours. Needs no daemon."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from paddock.cli.doctor import add_host_arguments, document_of, examine
from paddock.cli.exit_codes import FAILURE, OK
from paddock.cli.output import Column, Row, add_style_arguments, show

if TYPE_CHECKING:
    from paddock.doctor.finding import Finding, Removal

COLUMNS = (
    Column(title="OUTCOME"),
    Column(title="KIND"),
    Column(title="NAME"),
    Column(title="AGENT"),
    Column(title="WHY"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    add_host_arguments(parser)
    add_style_arguments(parser)


async def run(arguments: argparse.Namespace) -> int:
    """0: all of it is gone (or would go), 1: something stays."""
    removable = [each for each in examine(arguments) if each.removal is not None]
    outcomes = [(each, "would go" if arguments.dry_run else _removed(each.removal)) for each in removable]
    show(COLUMNS, [_row(finding, outcome) for finding, outcome in outcomes], arguments)
    stays = [(finding, outcome) for finding, outcome in outcomes if outcome not in {"gone", "would go"}]
    for finding, outcome in stays:
        print(f"paddock gc: {finding.kind} {finding.name} stays: {outcome}", file=sys.stderr)
    return FAILURE if stays else OK


def _removed(removal: Removal | None) -> str:
    """`gone`, or why not."""
    from paddock.doctor.removing import remove  # noqa: PLC0415 - not for --help
    from paddock.launch.protocol import ProtocolError  # noqa: PLC0415 - the same

    assert removal is not None
    try:
        remove(removal)
    except (OSError, ProtocolError) as error:
        return str(error)
    return "gone"


def _row(finding: Finding, outcome: str) -> Row:
    cells = (outcome, finding.kind, finding.name, finding.agent_id, finding.why)
    document = {**document_of(finding), "outcome": outcome}
    return Row(name=finding.name, cells=cells, document=json.dumps(document, indent=2))
