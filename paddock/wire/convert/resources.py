"""Resources and attributes, protobuf ↔ model."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_id, check_role
from paddock.model.resource_text import Attribute
from paddock.model.resources import (
    DEFAULT_ROLE,
    MILLI_LIMIT,
    DiskVolume,
    Items,
    Ranges,
    Reservation,
    Resource,
    Resources,
    Scalar,
    Value,
    check_resources,
)
from paddock.wire.convert import bounds
from paddock.wire.convert.remembered import all_remembered
from paddock.wire.v1 import resources_pb2 as pb

_RESERVATIONS_LIMIT_COUNT = 16
_RANGE_LIMIT = 2**63


@all_remembered
def resources_from_wire(messages: Sequence[pb.Resource], field: str = "resources") -> Resources:
    """Normalised: like ones added up, empty ones left out. Raises InvalidRequest naming `field[i].…`."""
    bounds.count(messages, field)
    found = tuple(_resource_from_wire(message, f"{field}[{index}]") for index, message in enumerate(messages))
    return Resources.of(check_resources(Resources(found), field))


def resources_to_wire(resources: Resources) -> list[pb.Resource]:
    """In the same order."""
    return [_resource_to_wire(resource) for resource in resources]


def attributes_from_wire(messages: Sequence[pb.Attribute], field: str = "attributes") -> tuple[Attribute, ...]:
    """A name may come several times: Mesos allows it, and agents use it."""
    bounds.count(messages, field)
    return tuple(_attribute_from_wire(message, f"{field}[{index}]") for index, message in enumerate(messages))


def attributes_to_wire(attributes: Sequence[Attribute]) -> list[pb.Attribute]:
    """In the same order."""
    return [_attribute_to_wire(attribute) for attribute in attributes]


def _resource_from_wire(message: pb.Resource, field: str) -> Resource:
    volume = None
    if message.HasField("volume"):
        volume = _volume_from_wire(message.volume, f"{field}.volume")
    if message.allocation_role:
        check_role(message.allocation_role, f"{field}.allocation_role")
    return Resource(
        name=message.name,
        value=_value_from_wire(message, field),
        allocation_role=message.allocation_role,
        reservations=_reservations_from_wire(message.reservations, f"{field}.reservations"),
        volume=volume,
        revocable=message.revocable,
        shared=message.shared,
        provider_id=bounds.text(message.provider_id, f"{field}.provider_id"),
    )


def _resource_to_wire(resource: Resource) -> pb.Resource:
    message = pb.Resource(
        name=resource.name,
        allocation_role=resource.allocation_role,
        reservations=[_reservation_to_wire(reservation) for reservation in resource.reservations],
        revocable=resource.revocable,
        shared=resource.shared,
        provider_id=resource.provider_id,
    )
    match resource.value:
        case Scalar(milli=milli):
            message.scalar_milli = milli
        case Ranges() as ranges:
            message.ranges.CopyFrom(_ranges_to_wire(ranges))
        case Items(names=names):
            message.items.CopyFrom(pb.Items(items=sorted(names)))
    if resource.volume is not None:
        message.volume.CopyFrom(
            pb.DiskVolume(
                persistence_id=resource.volume.persistence_id,
                principal=resource.volume.principal,
                container_path=resource.volume.container_path,
                read_only=resource.volume.read_only,
            )
        )
    return message


def _value_from_wire(message: pb.Resource, field: str) -> Value:
    match message.WhichOneof("value"):
        case "scalar_milli":
            return _scalar_from_wire(message.scalar_milli, f"{field}.scalar_milli")
        case "ranges":
            return _ranges_from_wire(message.ranges, f"{field}.ranges")
        case "items":
            return _items_from_wire(message.items, f"{field}.items")
        case None:
            raise InvalidRequest(f"{field}.value", message.name, "give scalar_milli, ranges or items")


def _scalar_from_wire(milli: int, field: str) -> Scalar:
    if not 0 <= milli <= MILLI_LIMIT:
        raise InvalidRequest(field, milli, "a scalar lies between 0 and 1e12 of its unit, in thousandths")
    return Scalar(milli=milli)


def _ranges_from_wire(message: pb.Ranges, field: str) -> Ranges:
    bounds.count(message.ranges, field, bounds.SPANS_LIMIT_COUNT)
    for index, span in enumerate(message.ranges):
        if not span.begin <= span.end < _RANGE_LIMIT:
            raise InvalidRequest(f"{field}[{index}]", f"{span.begin}-{span.end}", "a range goes upwards, below 2**63")
    return Ranges.of((span.begin, span.end) for span in message.ranges)


def _ranges_to_wire(ranges: Ranges) -> pb.Ranges:
    return pb.Ranges(ranges=[pb.Range(begin=begin, end=end) for begin, end in ranges.spans])


def _items_from_wire(message: pb.Items, field: str) -> Items:
    bounds.count(message.items, field)
    bounds.unique(message.items, field)
    for index, item in enumerate(message.items):
        if not item or not item.isprintable():
            raise InvalidRequest(f"{field}[{index}]", item, "use 1 to 255 bytes of printable characters")
        bounds.text(item, f"{field}[{index}]")
    return Items(names=frozenset(message.items))


def _reservations_from_wire(messages: Sequence[pb.Reservation], field: str) -> tuple[Reservation, ...]:
    bounds.count(messages, field, _RESERVATIONS_LIMIT_COUNT)
    below = ""
    for index, message in enumerate(messages):
        role = check_role(message.role, f"{field}[{index}].role")
        if role == DEFAULT_ROLE:
            raise InvalidRequest(f"{field}[{index}].role", role, "what anybody may use is not reserved: leave it out")
        if below and not role.startswith(f"{below}/"):
            raise InvalidRequest(
                f"{field}[{index}].role", role, f"name a sub-role of {below!r}, the role that it refines"
            )
        below = role
    return tuple(
        Reservation(
            role=message.role,
            principal=bounds.text(message.principal, f"{field}[{index}].principal"),
            labels=bounds.labels(message.labels, f"{field}[{index}].labels"),
            dynamic=message.dynamic,
            expires_ms=_expiry_from_wire(message, f"{field}[{index}]"),
        )
        for index, message in enumerate(messages)
    )


def _reservation_to_wire(reservation: Reservation) -> pb.Reservation:
    return pb.Reservation(
        role=reservation.role,
        principal=reservation.principal,
        labels=dict(reservation.labels),
        dynamic=reservation.dynamic,
        expires_ms=reservation.expires_ms,
    )


def _expiry_from_wire(message: pb.Reservation, field: str) -> int:
    if message.expires_ms and not message.dynamic:
        raise InvalidRequest(
            f"{field}.expires_ms", message.expires_ms, "only what is reserved at run time has a lease that ends"
        )
    if message.expires_ms > bounds.TIME_LIMIT_MS:
        raise InvalidRequest(f"{field}.expires_ms", message.expires_ms, "use a time before the year 10000")
    return message.expires_ms


def _volume_from_wire(message: pb.DiskVolume, field: str) -> DiskVolume:
    return DiskVolume(
        persistence_id=check_id(message.persistence_id, f"{field}.persistence_id"),
        principal=bounds.text(message.principal, f"{field}.principal"),
        container_path=bounds.text(message.container_path, f"{field}.container_path", bounds.PATH_LIMIT_BYTES),
        read_only=message.read_only,
    )


def _attribute_from_wire(message: pb.Attribute, field: str) -> Attribute:
    if not message.name or not message.name.isprintable():
        raise InvalidRequest(f"{field}.name", message.name, "use 1 to 255 bytes of printable characters")
    name = bounds.text(message.name, f"{field}.name")
    match message.WhichOneof("value"):
        case "scalar_milli":
            return Attribute(name=name, value=_scalar_from_wire(message.scalar_milli, f"{field}.scalar_milli"))
        case "ranges":
            return Attribute(name=name, value=_ranges_from_wire(message.ranges, f"{field}.ranges"))
        case "text":
            return Attribute(name=name, value=bounds.text(message.text, f"{field}.text", bounds.TEXT_LIMIT_BYTES))
        case None:
            raise InvalidRequest(f"{field}.value", name, "give scalar_milli, ranges or text")


def _attribute_to_wire(attribute: Attribute) -> pb.Attribute:
    match attribute.value:
        case Scalar(milli=milli):
            return pb.Attribute(name=attribute.name, scalar_milli=milli)
        case Ranges() as ranges:
            return pb.Attribute(name=attribute.name, ranges=_ranges_to_wire(ranges))
        case str() as text:
            return pb.Attribute(name=attribute.name, text=text)
