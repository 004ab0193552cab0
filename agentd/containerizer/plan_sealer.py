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
        self._shapes: OrderedDict[bytes, _Sealed] = OrderedDict()

    def seal(self, document: dict[str, object], ids: Sequence[str]) -> bytes:
        """As plan_file.seal does. `ids`: what may differ between plans of one shape.

        Nothing is remembered where replacing them might replace, or leave, something else: see `_shape_of`.
        """
        encoded_ids = tuple(each.encode() for each in ids)
        shape = _shape_of(protocol.encode(document), encoded_ids, document)
        if shape is None:
            return plan_file.seal(document)
        known = self._shapes.get(shape)
        if known is not None:
            self._shapes.move_to_end(shape)
            return known.with_ids(encoded_ids)
        sealed = plan_file.seal(document)
        if _replaced(sealed, encoded_ids) is not None:
            self._shapes[shape] = _Sealed(sealed, encoded_ids)
            if len(self._shapes) > MAX_COUNT:
                self._shapes.popitem(last=False)
        return sealed


class _Sealed:
    """A sealed plan in pieces: what stands between its ids, and which id stands where."""

    __slots__ = ("_numbers", "_pieces")

    def __init__(self, sealed: bytes, ids: tuple[bytes, ...]) -> None:
        self._pieces = re.split(b"(" + b"|".join(map(re.escape, ids)) + b")", sealed)
        self._numbers = [(place, ids.index(piece)) for place, piece in enumerate(self._pieces) if place % 2]

    def with_ids(self, ids: tuple[bytes, ...]) -> bytes:
        pieces = self._pieces.copy()
        for place, number in self._numbers:
            pieces[place] = ids[number]
        return b"".join(pieces)


def _shape_of(content: bytes, ids: tuple[bytes, ...], document: dict[str, object]) -> bytes | None:
    """The plan without its ids; None where an id is short or no plain text, where two are or hold the same, where one could be
    the rest of an escape, where two overlap, and where the command's name is long, of which a part is kept elsewhere.
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
    return _replaced(content, ids)


def _replaced(content: bytes, ids: tuple[bytes, ...]) -> bytes | None:
    """Each id by its number and length; None where two overlap, so that it depends on which is replaced first."""
    replaced = content
    for number, each in enumerate(ids):
        count = content.count(each)
        if replaced.count(each) != count:
            return None
        replaced = replaced.replace(each, b"\0%d,%d\0" % (number, len(each)))
    return replaced


def _is_plain(text: bytes) -> bool:
    """Whether it stands in JSON as it is."""
    return text.replace(b"-", b"").replace(b"_", b"").replace(b".", b"").isalnum()
