"""Many offers as bytes, at once. A run sends one for each agent, and building messages took a fifth of its time.

What is written is what `offer_to_wire(…).SerializeToString()` gives (labels in any order): the parts that offers of like agents
have in common are serialised once, and the few texts that differ are put around them. protobuf's encoding is made for that: a
message is its fields one after the other, and a text is its field's number, its length, and itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from paddock.model.ids import AgentId, FrameworkId, OfferId
from paddock.model.offer import Offer
from paddock.wire.convert.offers import offer_to_wire
from paddock.wire.v1 import offers_pb2 as pb

_SHORT_LIMIT_BYTES = 128
"""Shorter lengths are one byte."""


def _head(number: int, length: int) -> bytes:
    """What stands before a text, or a message, of that many bytes in the field of that number."""
    written = bytearray()
    for value in (number << 3 | 2, length):
        rest = value
        while rest >= _SHORT_LIMIT_BYTES:
            written.append(rest & 127 | 128)
            rest >>= 7
        written.append(rest)
    return bytes(written)


def embedded(number: int, message: bytes) -> bytes:
    """A serialised message as a field of another."""
    return _head(number, len(message)) + message


def _heads(number: int) -> tuple[bytes, ...]:
    """By length; an empty text is not written at all."""
    return (b"", *(_head(number, length) for length in range(1, _SHORT_LIMIT_BYTES)))


_OFFER_ID = _heads(pb.Offer.OFFER_ID_FIELD_NUMBER)
_FRAMEWORK_ID = _heads(pb.Offer.FRAMEWORK_ID_FIELD_NUMBER)
_AGENT_ID = _heads(pb.Offer.AGENT_ID_FIELD_NUMBER)
_HOSTNAME = _heads(pb.Offer.HOSTNAME_FIELD_NUMBER)
_ROLE = _heads(pb.Offer.ROLE_FIELD_NUMBER)
_UNIX_ADDRESS = _heads(pb.Offer.UNIX_ADDRESS_FIELD_NUMBER)
_TCP_ADDRESS = _heads(pb.Offer.TCP_ADDRESS_FIELD_NUMBER)


class OfferWriter:
    """Remembers what offers have in common by the very objects: the core shares them among agents that are alike."""

    LIMIT_COUNT = 10_000

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int], tuple[Offer, bytes]] = {}
        self._heads: dict[int, bytes] = {}
        self._types: dict[tuple[str, ...], bytes] = {}

    def written(self, offers: Iterable[Offer], number: int) -> bytes:
        """All of them, each as one more element of the repeated field of that number."""
        heads, pieces = self._heads, list[bytes]()
        for offer in offers:
            written = self._written(offer)
            length = len(written)
            head = heads.get(length)
            if head is None:
                head = heads[length] = _head(number, length)
            pieces += (head, written)
        return b"".join(pieces)

    def _written(self, offer: Offer) -> bytes:
        offer_id, framework_id, agent_id, role, resources, hostname, attributes, domain, unix, tcp, planned, types = (
            offer
        )
        alike = self._known.get((id(resources), id(attributes), id(domain))) or self._remembered(offer)
        first, second, third, fourth, fifth = (
            offer_id.encode(),
            framework_id.encode(),
            agent_id.encode(),
            hostname.encode(),
            role.encode(),
        )
        ninth, tenth = unix.encode(), tcp.encode()
        try:
            before = (
                _OFFER_ID[len(first)] + first,
                _FRAMEWORK_ID[len(second)] + second,
                _AGENT_ID[len(third)] + third,
                _HOSTNAME[len(fourth)] + fourth,
                _ROLE[len(fifth)] + fifth,
            )
            after = (_UNIX_ADDRESS[len(ninth)] + ninth, _TCP_ADDRESS[len(tenth)] + tenth)
        except IndexError:  # a long text: rare, like maintenance
            return offer_to_wire(offer).SerializeToString()
        if planned:
            return offer_to_wire(offer).SerializeToString()
        told = self._types.get(types)
        return b"".join((*before, alike[1], *after, self._remembered_types(types) if told is None else told))

    def _remembered(self, offer: Offer) -> tuple[Offer, bytes]:
        """With the offer itself: as long as it is kept, no other object can have these ids."""
        if len(self._known) >= self.LIMIT_COUNT:
            self._known.clear()
        part = Offer(
            OfferId(""),
            FrameworkId(""),
            AgentId(""),
            role="",
            resources=offer.resources,
            attributes=offer.attributes,
            domain=offer.domain,
        )
        key = (id(offer.resources), id(offer.attributes), id(offer.domain))
        found = self._known[key] = (part, offer_to_wire(part).SerializeToString())
        return found

    def _remembered_types(self, types: tuple[str, ...]) -> bytes:
        """Of containerizers there are few, and few sets of them."""
        if len(self._types) >= self.LIMIT_COUNT:
            self._types.clear()
        found = self._types[types] = pb.Offer(containerizers=types).SerializeToString()
        return found
