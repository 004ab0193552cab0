"""Which offers a framework wants, as the registry keeps it: a text in its row."""

from __future__ import annotations

import json

from masterd.allocator.constraints import check_groups
from paddock.model.errors import InvalidRequest
from paddock.model.offer_terms import Constraint, OfferTerms, Predicate


def to_text(terms: tuple[OfferTerms, ...]) -> str:
    """For each role its groups of (what is selected, predicate, value), and the minimum or null."""
    return json.dumps(
        [
            (
                each.role,
                [[(one.select, one.predicate.value, one.value) for one in group] for group in each.constraints],
                each.minimum,
            )
            for each in terms
        ]
    )


def from_text(text: str) -> tuple[OfferTerms, ...]:
    """Raises ValueError or TypeError for what it did not write, a pattern that is none among it."""
    return tuple(_one(role, groups, minimum) for role, groups, minimum in json.loads(text))


def _one(role: object, groups: list[list[list[str]]], minimum: list[list[list[object]]] | None) -> OfferTerms:
    constraints = tuple(
        tuple(
            Constraint(select=str(select), predicate=Predicate(word), value=str(value)) for select, word, value in group
        )
        for group in groups
    )
    try:
        check_groups(constraints, f"offer_terms of {role}")
    except InvalidRequest as error:
        raise ValueError(str(error)) from None
    least = None
    if minimum is not None:
        least = tuple(tuple((str(name), int(str(milli))) for name, milli in amounts) for amounts in minimum)
    return OfferTerms(role=str(role), constraints=constraints, minimum=least)
