"""What a row of the demonstration is, and how one is carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from examples.demonstration.session import Session
from paddock.model.errors import PaddockError

LIMIT_S = 60.0
"""A row that takes longer is not as expected: nothing here is slow on a machine that works."""

END_LIMIT_S = 10.0
"""For ending what a row left running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What happened, in one or two short lines, and whether it is what was expected."""

    text: str
    as_expected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that is shown. `act` launches its tasks, and leaves none running."""

    number: int
    title: str
    asked: str
    expected: str
    act: Callable[[Session], Awaitable[Seen]]


async def carry_out(row: Row, session: Session, *, limit_s: float = LIMIT_S, end_limit_s: float = END_LIMIT_S) -> Seen:
    """Act and judge. An error or a time-out is a row that is not as expected, never an end of the whole."""
    try:
        async with asyncio.timeout(limit_s):
            seen = await row.act(session)
    except TimeoutError:
        seen = Seen(text=f"nothing conclusive within {limit_s:.0f} s", as_expected=False)
    except PaddockError as error:
        seen = Seen(text=str(error), as_expected=False)
    finally:
        await session.kill_all(timeout_s=end_limit_s)
    return seen


def judge(checks: dict[str, bool]) -> tuple[bool, str]:
    """Whether all hold, and the names of those that do not as a suffix for the row's text."""
    failed = [name for name, holds in checks.items() if not holds]
    return not failed, f" — NOT: {', '.join(failed)}" if failed else ""
