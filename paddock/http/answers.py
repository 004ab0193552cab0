"""What a page answers, and the pages that every daemon has: is it alive, is it ready."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

OK, NOT_READY = 200, 503
_TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """One whole answer."""

    body: bytes
    status: int = OK
    content_type: str = _TEXT


Page = Callable[[str], Awaitable[HttpAnswer]]
"""Asked with the caller's Accept header."""


async def healthz(_accept: str) -> HttpAnswer:
    """That it answers is the answer: it does so on the event loop, behind everything that waits there."""
    return HttpAnswer(body=b"ok\n")


def readyz(reasons: Callable[[], Sequence[str]]) -> Page:
    """`reasons`: why it does not do all of its work just now; none: it does."""

    async def page(_accept: str) -> HttpAnswer:
        found = reasons()
        if not found:
            return HttpAnswer(body=b"ready\n")
        return HttpAnswer(status=NOT_READY, body="".join(f"{reason}\n" for reason in found).encode())

    return page
