"""Many offers as bytes, at once. A run sends one for each agent, and building messages took a fifth of its time.

What is written is what `offer_to_wire(…).SerializeToString()` gives (labels in any order): the parts that offers of like agents
have in common are serialised once, and the few texts that differ are put around them. Where quotas are, or tasks run, what is
offered is different everywhere, but made of like amounts: those are put together as well. protobuf's encoding is made for that:
a message is its fields one after the other, and a text is its field's number, its length, and itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from paddock.model.ids import AgentId, FrameworkId, OfferId
from paddock.model.offer import Offer
from paddock.model.resources import Resource, Resources, Value
from paddock.wire.convert.offers import offer_to_wire
from paddock.wire.convert.resources import resources_to_wire
from paddock.wire.v1 import offers_pb2 as pb
from paddock.wire.v1 import resources_pb2

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


def _heads(number: int) -> tuple[str, ...]:
    """By length, for texts in ASCII, where characters are bytes; an empty text is not written at all."""
    return ("", *(_head(number, length).decode() for length in range(1, _SHORT_LIMIT_BYTES)))


_OFFER_ID = _heads(pb.Offer.OFFER_ID_FIELD_NUMBER)
_FRAMEWORK_ID = _heads(pb.Offer.FRAMEWORK_ID_FIELD_NUMBER)
_AGENT_ID = _heads(pb.Offer.AGENT_ID_FIELD_NUMBER)
_HOSTNAME = _heads(pb.Offer.HOSTNAME_FIELD_NUMBER)
_ROLE = _heads(pb.Offer.ROLE_FIELD_NUMBER)
_UNIX_ADDRESS = _heads(pb.Offer.UNIX_ADDRESS_FIELD_NUMBER)
_TCP_ADDRESS = _heads(pb.Offer.TCP_ADDRESS_FIELD_NUMBER)
_RESOURCES = pb.Offer.RESOURCES_FIELD_NUMBER
_ALLOCATION_ROLE = resources_pb2.Resource.ALLOCATION_ROLE_FIELD_NUMBER

_NO_OFFER = Offer(OfferId(""), FrameworkId(""), AgentId(""), role="", resources=Resources())


class OfferWriter:
    """Remembers what offers have in common by the very objects: the core shares them among agents that are alike."""

    LIMIT_COUNT = 10_000

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int], tuple[Offer, bytes]] = {}
        self._places: dict[tuple[int, int], tuple[Offer, bytes]] = {}
        self._amounts: dict[tuple[str, Value], bytes] = {}
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
        try:
            before = (
                f"{_OFFER_ID[len(offer_id)]}{offer_id}{_FRAMEWORK_ID[len(framework_id)]}{framework_id}"
                f"{_AGENT_ID[len(agent_id)]}{agent_id}{_HOSTNAME[len(hostname)]}{hostname}{_ROLE[len(role)]}{role}"
            )
            after = f"{_UNIX_ADDRESS[len(unix)]}{unix}{_TCP_ADDRESS[len(tcp)]}{tcp}"
        except IndexError:  # a long text: rare, like maintenance
            return offer_to_wire(offer).SerializeToString()
        if planned or not (before.isascii() and after.isascii()):
            return offer_to_wire(offer).SerializeToString()
        told = self._types.get(types)
        return before.encode() + alike[1] + after.encode() + (self._remembered_types(types) if told is None else told)

    def _remembered(self, offer: Offer) -> tuple[Offer, bytes]:
        """With the offer itself: as long as it is kept, no other object can have these ids."""
        for known in (self._known, self._places, self._amounts):
            if len(known) >= self.LIMIT_COUNT:
                known.clear()
        resources = b"".join(embedded(_RESOURCES, self._resource(each)) for each in offer.resources)
        key = (id(offer.resources), id(offer.attributes), id(offer.domain))
        found = self._known[key] = (offer, resources + self._place(offer))
        return found

    def _remembered_types(self, types: tuple[str, ...]) -> bytes:
        """Of containerizers there are few, and few sets of them."""
        if len(self._types) >= self.LIMIT_COUNT:
            self._types.clear()
        found = self._types[types] = pb.Offer(containerizers=types).SerializeToString()
        return found

    def _place(self, offer: Offer) -> bytes:
        """What it says of the agent, but for texts."""
        key = (id(offer.attributes), id(offer.domain))
        known = self._places.get(key)
        if known is None:
            part = _NO_OFFER._replace(attributes=offer.attributes, domain=offer.domain)
            known = self._places[key] = (part, offer_to_wire(part).SerializeToString())
        return known[1]

    def _resource(self, resource: Resource) -> bytes:
        """The role comes last: fields may come in any order, and most resources differ in nothing else."""
        if resource.reservations or resource.volume or resource.revocable or resource.shared or resource.provider_id:
            return _serialised(resource)
        name, value, role = resource.name, resource.value, resource.allocation_role
        known = self._amounts.get((name, value))
        if known is None:
            known = self._amounts[name, value] = _serialised(Resource(name=name, value=value))
        return known + embedded(_ALLOCATION_ROLE, role.encode()) if role else known


def _serialised(resource: Resource) -> bytes:
    return resources_to_wire(Resources((resource,)))[0].SerializeToString()
