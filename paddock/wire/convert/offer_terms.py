"""Which offers a framework wants, protobuf ↔ model. Whether a pattern is one is the master's to say: it has to match it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from paddock.model.errors import InvalidRequest
from paddock.model.offer_terms import (
    CONTAINERIZERS,
    HOSTNAME,
    REGION,
    ZONE,
    Amounts,
    Constraint,
    Groups,
    OfferTerms,
    Predicate,
)
from paddock.model.resources import Resource, Resources, Scalar, check_resources
from paddock.wire.convert import bounds
from paddock.wire.v1 import offer_terms_pb2 as pb

CONSTRAINTS_LIMIT_COUNT = 100
"""Of one framework, all roles together: each may be looked at for each agent in each cycle."""

ALTERNATIVES_LIMIT_COUNT = 16
AMOUNTS_LIMIT_COUNT = 64

_PLACES = (HOSTNAME, REGION, ZONE, CONTAINERIZERS)
_TO_WIRE = {predicate: pb.AttributePredicate.Value(f"ATTRIBUTE_{predicate.name}") for predicate in Predicate}
_FROM_WIRE = {number: predicate for predicate, number in _TO_WIRE.items()}


def offer_terms_from_wire(
    messages: Sequence[pb.OfferTerms], field: str, roles: Collection[str]
) -> tuple[OfferTerms, ...]:
    """Each of another of the framework's `roles`. Raises InvalidRequest naming `field[i].…`."""
    bounds.count(messages, field)
    bounds.unique([message.role for message in messages], field)
    left_count = CONSTRAINTS_LIMIT_COUNT
    found = []
    for index, message in enumerate(messages):
        where = f"{field}[{index}]"
        if message.role not in roles:
            raise InvalidRequest(
                f"{where}.role", message.role, f"name one of the framework's roles: {', '.join(roles)}"
            )
        left_count -= sum(max(1, len(group.constraints)) for group in message.constraint_groups)
        if left_count < 0:
            remedy = f"use at most {CONSTRAINTS_LIMIT_COUNT} constraints, those of all roles together"
            raise InvalidRequest(f"{where}.constraint_groups", f"{len(message.constraint_groups)} groups", remedy)
        found.append(
            OfferTerms(
                role=message.role,
                constraints=_groups_from_wire(message.constraint_groups, f"{where}.constraint_groups"),
                minimum=_minimum_from_wire(message.minimum, f"{where}.minimum")
                if message.HasField("minimum")
                else None,
            )
        )
    return tuple(found)


def offer_terms_to_wire(terms: Sequence[OfferTerms]) -> list[pb.OfferTerms]:
    """In the same order."""
    return [_one_to_wire(each) for each in terms]


def _groups_from_wire(messages: Sequence[pb.OfferTerms.ConstraintGroup], field: str) -> Groups:
    for index, group in enumerate(messages):
        if not group.constraints:
            remedy = "a group has at least one constraint; for every agent leave constraint_groups out"
            raise InvalidRequest(f"{field}[{index}].constraints", "", remedy)
    return tuple(
        tuple(
            _constraint_from_wire(message, f"{field}[{index}].constraints[{number}]")
            for number, message in enumerate(group.constraints)
        )
        for index, group in enumerate(messages)
    )


def _constraint_from_wire(message: pb.AttributeConstraint, field: str) -> Constraint:
    predicate = _FROM_WIRE.get(message.predicate)
    if predicate is None:
        known = ", ".join(f"{pb.AttributePredicate.Name(number)} = {number}" for number in _FROM_WIRE)
        raise InvalidRequest(f"{field}.predicate", message.predicate, f"use one of {known}")
    value = bounds.text(message.value, f"{field}.value", bounds.TEXT_LIMIT_BYTES)
    if predicate.takes_value != bool(value):
        remedy = "give the text or the pattern" if predicate.takes_value else "leave it out: this predicate has none"
        raise InvalidRequest(f"{field}.value", value, remedy)
    return Constraint(select=_select_from_wire(message.select, f"{field}.select"), predicate=predicate, value=value)


def _select_from_wire(select: str, field: str) -> str:
    if not select or not select.isprintable() or (select.startswith("$") and select not in _PLACES):
        remedy = f"name an attribute in 1 to {bounds.NAME_LIMIT_BYTES} bytes, or one of {', '.join(_PLACES)}"
        raise InvalidRequest(field, select, remedy)
    return bounds.text(select, field)


def _minimum_from_wire(message: pb.OfferTerms.OfferMinimum, field: str) -> tuple[Amounts, ...]:
    bounds.count(message.alternatives, f"{field}.alternatives", ALTERNATIVES_LIMIT_COUNT)
    return tuple(
        _amounts_from_wire(alternative, f"{field}.alternatives[{index}].milli")
        for index, alternative in enumerate(message.alternatives)
    )


def _amounts_from_wire(message: pb.OfferTerms.OfferMinimum.Alternative, field: str) -> Amounts:
    if not message.milli:
        raise InvalidRequest(field, "", "name at least one resource; without alternatives anything is worth an offer")
    bounds.count(list(message.milli), field, AMOUNTS_LIMIT_COUNT)
    amounts = tuple(sorted(message.milli.items()))
    named = tuple(Resource(name=name, value=Scalar(milli=milli)) for name, milli in amounts)
    check_resources(Resources(named), field)
    return amounts


def _one_to_wire(terms: OfferTerms) -> pb.OfferTerms:
    group, least = pb.OfferTerms.ConstraintGroup, pb.OfferTerms.OfferMinimum
    minimum = None
    if terms.minimum is not None:
        minimum = least(alternatives=[least.Alternative(milli=dict(amounts)) for amounts in terms.minimum])
    return pb.OfferTerms(
        role=terms.role,
        constraint_groups=[group(constraints=map(_constraint_to_wire, each)) for each in terms.constraints],
        minimum=minimum,
    )


def _constraint_to_wire(constraint: Constraint) -> pb.AttributeConstraint:
    return pb.AttributeConstraint(
        select=constraint.select, predicate=_TO_WIRE[constraint.predicate], value=constraint.value
    )
