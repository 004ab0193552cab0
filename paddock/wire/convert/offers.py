"""Offers and what a framework does with them, protobuf ↔ model."""

from __future__ import annotations

from paddock.model import ids
from paddock.model.errors import InvalidRequest
from paddock.model.offer import DEFAULT_REFUSE_MS, REFUSE_LIMIT_MS, Filters, Offer, Unavailability
from paddock.wire.convert import bounds
from paddock.wire.convert.parties import containerizers_from_wire, domain_from_wire, domain_to_wire
from paddock.wire.convert.resources import (
    attributes_from_wire,
    attributes_to_wire,
    resources_from_wire,
    resources_to_wire,
)
from paddock.wire.v1 import offers_pb2 as pb

_NS_PER_MS = 1_000_000


def offer_from_wire(message: pb.Offer, field: str = "offer") -> Offer:
    """As a framework reads it."""
    return Offer(
        offer_id=ids.offer_id(message.offer_id, f"{field}.offer_id"),
        framework_id=ids.framework_id(message.framework_id, f"{field}.framework_id"),
        agent_id=ids.agent_id(message.agent_id, f"{field}.agent_id"),
        role=ids.check_role(message.role, f"{field}.role"),
        resources=resources_from_wire(message.resources, f"{field}.resources"),
        hostname=bounds.text(message.hostname, f"{field}.hostname"),
        attributes=attributes_from_wire(message.attributes, f"{field}.attributes"),
        domain=domain_from_wire(message.domain, f"{field}.domain"),
        unix_address=bounds.text(message.unix_address, f"{field}.unix_address"),
        tcp_address=bounds.text(message.tcp_address, f"{field}.tcp_address", bounds.TEXT_LIMIT_BYTES),
        unavailability=unavailability_from_wire(message.unavailability, f"{field}.unavailability")
        if message.HasField("unavailability")
        else None,
        containerizers=containerizers_from_wire(message.containerizers, f"{field}.containerizers"),
    )


def offer_to_wire(offer: Offer) -> pb.Offer:
    """What offer_from_wire turns back into the same."""
    return pb.Offer(
        offer_id=offer.offer_id,
        framework_id=offer.framework_id,
        agent_id=offer.agent_id,
        hostname=offer.hostname,
        role=offer.role,
        resources=resources_to_wire(offer.resources),
        attributes=attributes_to_wire(offer.attributes),
        domain=domain_to_wire(offer.domain),
        unix_address=offer.unix_address,
        tcp_address=offer.tcp_address,
        unavailability=unavailability_to_wire(offer.unavailability),
        containerizers=offer.containerizers,
    )


def unavailability_from_wire(message: pb.Unavailability, field: str = "unavailability") -> Unavailability:
    """A time between 1970 and 9999, and at most ten years."""
    start_ns = bounds.timestamp_ns(message.start, f"{field}.start")
    if not start_ns:
        raise InvalidRequest(f"{field}.start", "", "say from when on it will not be available")
    return Unavailability(
        start_ns=start_ns, duration_ns=bounds.duration_ms(message.duration_ms, f"{field}.duration_ms") * _NS_PER_MS
    )


def unavailability_to_wire(unavailability: Unavailability | None) -> pb.Unavailability | None:
    """None: absent."""
    if unavailability is None:
        return None
    return pb.Unavailability(
        start=bounds.timestamp(unavailability.start_ns), duration_ms=unavailability.duration_ns // _NS_PER_MS
    )


def filters_from_wire(message: pb.Filters) -> Filters:
    """Absent: Mesos' five seconds. More than a year is cut to a year, as Mesos does."""
    if not message.HasField("refuse_ms"):
        return Filters(refuse_ms=DEFAULT_REFUSE_MS)
    return Filters(refuse_ms=min(message.refuse_ms, REFUSE_LIMIT_MS))


def filters_to_wire(filters: Filters) -> pb.Filters:
    """Always spelled out."""
    return pb.Filters(refuse_ms=filters.refuse_ms)
