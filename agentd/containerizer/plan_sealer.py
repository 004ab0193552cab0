"""Seals plans: checks them and writes their launches down. What an earlier plan of the same shape came to is used again.

Containers of one service differ in their ids only. A plan and its sealed form are bytes in which the ids stand as they are: the
same text of the same length in their place gives the plan of another container, and its sealed form.
"""

from __future__ import annotations

import itertools
import re
from collections import OrderedDict
from collections.abc import Sequence

from paddock.launch import plan_file, protocol

MAX_COUNT = 64
MIN_ID_LENGTH = 24
"""Shorter ones might stand in a plan by chance; those of containers have 32 random hexadecimal digits."""

MAX_NAME_LENGTH = 256
"""Of a longer argv[0] a part stands in the summary."""
_ESCAPE = rb"\\u?[0-9a-fA-F]{0,3}"


class PlanSealer:
    """For one thread. Remembers the last shapes, by a plan in which each id is replaced by its number."""

    def __init__(self) -> None:
        """Nothing is remembered yet."""
        self._shapes: OrderedDict[bytes, tuple[tuple[bytes, ...], bytes]] = OrderedDict()

    def seal(self, document: dict[str, object], ids: Sequence[str]) -> bytes:
        """As plan_file.seal does. `ids`: what may differ between plans of one shape.

        Nothing is remembered where replacing them might replace, or leave, something else: see `_shape_of`.
        """
        encoded_ids = tuple(each.encode() for each in ids)
        shape = _shape_of(protocol.encode(document), encoded_ids, document)
        if shape is None:
            return plan_file.seal(document)
        known = self._shapes.get(shape)
        if known is None:
            sealed = plan_file.seal(document)
            self._shapes[shape] = (encoded_ids, sealed)
            if len(self._shapes) > MAX_COUNT:
                self._shapes.popitem(last=False)
            return sealed
        self._shapes.move_to_end(shape)
        earlier_ids, sealed = known
        return _replaced(sealed, dict(zip(earlier_ids, encoded_ids, strict=True)))


def _shape_of(content: bytes, ids: tuple[bytes, ...], document: dict[str, object]) -> bytes | None:
    """The plan without its ids; None where an id is short or no plain text, where two are or hold the same, where one could be
    the rest of an escape, and where the command's name is long, of which a part is kept elsewhere.
    """
    if not all(len(each) >= MIN_ID_LENGTH and _is_plain(each) for each in ids):
        return None
    if any(one in other for one, other in itertools.permutations(ids, 2)):
        return None
    argv = document.get("argv")
    if not isinstance(argv, list) or not argv or len(str(argv[0])) > MAX_NAME_LENGTH:
        return None
    if b"\\" in content and any(re.search(_ESCAPE + re.escape(each), content) for each in ids):
        return None
    return _replaced(content, {each: b"\0%d,%d\0" % (number, len(each)) for number, each in enumerate(ids)})


def _replaced(content: bytes, successors: dict[bytes, bytes]) -> bytes:
    """In one pass: a successor may be another one's predecessor."""
    return re.sub(b"|".join(map(re.escape, successors)), lambda found: successors[found[0]], content)


def _is_plain(text: bytes) -> bool:
    """Whether it stands in JSON as it is."""
    return text.replace(b"-", b"").replace(b"_", b"").replace(b".", b"").isalnum()
