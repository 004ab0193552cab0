"""Seals plans: checks them and writes their launches down. What an earlier plan of the same shape came to is used again.

Containers of one service differ in their ids only. A plan and its sealed form are bytes in which the ids stand as they are: the
same text of the same length in their place gives the plan of another container, and its sealed form.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from paddock.launch import plan_file, protocol

MAX_COUNT = 64
MIN_ID_LENGTH = 24
"""Shorter ones might stand in a plan by chance; those of containers have 32 random hexadecimal digits."""


class PlanSealer:
    """For one thread. Remembers the last shapes, by a plan in which each id is replaced by its number."""

    def __init__(self) -> None:
        """Nothing is remembered yet."""
        self._shapes: OrderedDict[bytes, tuple[tuple[bytes, ...], bytes]] = OrderedDict()

    def seal(self, document: dict[str, object], ids: Sequence[str]) -> bytes:
        """As plan_file.seal does. `ids`: what may differ between plans of one shape.

        Where one is short, or no plain text, nothing is remembered: what it replaced might be something else.
        """
        encoded_ids = tuple(each.encode() for each in ids)
        if not all(len(each) >= MIN_ID_LENGTH and _is_plain(each) for each in encoded_ids):
            return plan_file.seal(document)
        shape = protocol.encode(document)
        for number, each in enumerate(encoded_ids):
            shape = shape.replace(each, b"\0%d,%d\0" % (number, len(each)))
        known = self._shapes.get(shape)
        if known is None:
            sealed = plan_file.seal(document)
            self._shapes[shape] = (encoded_ids, sealed)
            if len(self._shapes) > MAX_COUNT:
                self._shapes.popitem(last=False)
            return sealed
        self._shapes.move_to_end(shape)
        earlier_ids, sealed = known
        for old, new in zip(earlier_ids, encoded_ids, strict=True):
            sealed = sealed.replace(old, new)
        return sealed


def _is_plain(text: bytes) -> bool:
    """Whether it stands in JSON as it is."""
    return text.replace(b"-", b"").replace(b"_", b"").replace(b".", b"").isalnum()
