"""`paddock offers`: what the master has offered and nobody has answered yet."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import OK
from paddock.cli.output import Column, Row, add_style_arguments, show
from paddock.cli.watch import Watched, add_watch_argument, follow
from paddock.model.resource_text import format_resources

if TYPE_CHECKING:
    from paddock.rpc.clients.views import OfferView

COLUMNS = (
    Column(title="OFFER"),
    Column(title="FRAMEWORK"),
    Column(title="ROLE"),
    Column(title="HOST"),
    Column(title="RESOURCES"),
    Column(title="AGENT", wide=True),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_watch_argument(parser)
    add_style_arguments(parser)
    add_master_argument(parser)


async def run(arguments: argparse.Namespace) -> int:
    """Print the offers."""
    if arguments.watch:
        return await follow(WATCHED, arguments)
    async with master_of(arguments) as master:
        offers = await master.list_offers()
    show(COLUMNS, [row_of(offer) for offer in offers], arguments)
    return OK


def row_of(view: OfferView) -> Row:
    """One line."""
    offer = view.offer
    return Row(
        name=offer.offer_id,
        cells=(
            offer.offer_id,
            offer.framework_id,
            offer.role,
            offer.hostname,
            format_resources(offer.resources.unallocated()),
            offer.agent_id,
        ),
        document=view.document,
    )


WATCHED: Watched[OfferView] = Watched(
    verb="offers", columns=COLUMNS, stream=lambda client: client.offers(), row_of=lambda view, _: row_of(view)
)
