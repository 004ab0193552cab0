"""Pages of a list: a token is the sort key of the last element that was sent, so what comes and goes between moves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from paddock.model.errors import InvalidRequest

Element = TypeVar("Element")


def page_of(
    elements: Iterable[Element], *, key: Callable[[Element], str], size: int, token: str, limit_count: int
) -> tuple[list[Element], str]:
    """The page after the token, and the next one's token, empty at the end. Raises InvalidRequest for a negative size."""
    if size < 0:
        raise InvalidRequest("page_size", size, f"use 0 (at most {limit_count}) or more")
    count = min(size or limit_count, limit_count)
    ordered = sorted(elements, key=key)
    rest = [element for element in ordered if key(element) > token] if token else ordered
    page = list(islice(rest, count))
    return page, key(page[-1]) if len(rest) > count else ""
