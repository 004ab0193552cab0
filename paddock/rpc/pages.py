"""Pages of a list: a token is the sort key of the last element that was sent, so what comes and goes between moves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from google.protobuf.message import Message

from paddock.model.errors import InvalidRequest

Element = TypeVar("Element")
Sent = TypeVar("Sent", bound=Message)

PAGE_LIMIT_BYTES = 16 * 2**20
"""A command may be a megabyte long, and anybody may run a thousand: a client takes 64 MiB in one answer."""


def page_on_wire(
    elements: Iterable[Element],
    *,
    key: Callable[[Element], str],
    to_wire: Callable[[Element], Sent],
    size: int,
    token: str,
    limit_count: int,
) -> tuple[list[Sent], str]:
    """As `page_of`, and ended earlier, though never empty, where it would be longer than one answer should be."""
    page, next_token = page_of(elements, key=key, size=size, token=token, limit_count=limit_count)
    sent: list[Sent] = []
    size_bytes = 0
    for index, element in enumerate(page):
        message = to_wire(element)
        size_bytes += message.ByteSize()
        if sent and size_bytes > PAGE_LIMIT_BYTES:
            return sent, key(page[index - 1])
        sent.append(message)
    return sent, next_token


def page_of(
    elements: Iterable[Element], *, key: Callable[[Element], str], size: int, token: str, limit_count: int
) -> tuple[list[Element], str]:
    """The page after the token, and the next one's token, empty at the end. Raises InvalidRequest for a negative size."""
    count = page_count(size, limit_count)
    ordered = sorted(elements, key=key)
    rest = [element for element in ordered if key(element) > token] if token else ordered
    page = list(islice(rest, count))
    return page, key(page[-1]) if len(rest) > count else ""


def page_count(size: int, limit_count: int) -> int:
    """How many a page has. Raises InvalidRequest for a negative size."""
    if size < 0:
        raise InvalidRequest("page_size", size, f"use 0 or more; a page has {limit_count} at most")
    return min(size or limit_count, limit_count)
