"""Whether somebody listens at an address: asked before a channel is opened to a daemon that may be away for long.

An attempt of gRPC's lasts as long as a busy daemon may need for its first word, and while it lasts the kernel asks a host that
does not answer ever more seldom: one that is back would be found out late. Here every attempt is short, and a new one.
"""

from __future__ import annotations

import asyncio
import os

from paddock.model.errors import Unavailable
from paddock.rpc.address import Address

KNOCK_TIMEOUT_S = 2.5
"""Two packets of the kernel's, a second apart, and the time for an answer."""

AWAY_LIMIT_S = 3.0
"""Between two knocks at most. A thousand callers at a closed door cost nobody anything; they enter spread over this time."""

_NEXT_ADDRESS_S = 0.25


class NobodyThere(Unavailable):
    """Nothing was asked of anybody: to try again soon costs nothing."""


async def knock(address: Address, subject: str) -> None:
    """Returns when a connection was taken, by the daemon's kernel at least. Raises NobodyThere."""
    try:
        async with asyncio.timeout(KNOCK_TIMEOUT_S):
            _, writer = await _connection(address)
            writer.close()
    except TimeoutError:
        raise NobodyThere(f"{subject}: no answer within {KNOCK_TIMEOUT_S:g} s: is its host up and in reach?") from None
    except PermissionError:
        return  # the channel's own words on it are better
    except OSError as error:
        number = error.errno or 0
        said = os.strerror(number) if number > 0 else str(error)
        raise NobodyThere(f"{subject}: {said}: is the daemon running, and is this its address?") from None


async def _connection(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.unix_path:
        return await asyncio.open_unix_connection(address.unix_path)
    host, _, port = address.tcp.rpartition(":")
    # A name may have several addresses, of which the first does not answer.
    return await asyncio.open_connection(host.strip("[]"), int(port), happy_eyeballs_delay=_NEXT_ADDRESS_S)
