"""Which offers a framework wants, said once instead of by declining: constraints on agents, and the least that is of use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from paddock.model.errors import InvalidRequest
from paddock.model.resource_text import parse_scalar_milli

HOSTNAME, REGION, ZONE = "$hostname", "$region", "$zone"
CONTAINERIZERS = "$containerizers"
"""What can be selected besides an attribute's name. The last is a text: `docker,native`."""


class Predicate(Enum):
    """What must be true of the selected attribute. A text predicate is true of an attribute that is not a text."""

    EXISTS = "exists"
    NOT_EXISTS = "not_exists"
    TEXT_EQUALS = "text_equals"
    TEXT_NOT_EQUALS = "text_not_equals"
    TEXT_MATCHES = "text_matches"
    TEXT_NOT_MATCHES = "text_not_matches"

    @property
    def takes_value(self) -> bool:
        """Whether it compares with something."""
        return self not in {Predicate.EXISTS, Predicate.NOT_EXISTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One predicate on one attribute. `value`: the text or the pattern, which has to match the whole."""

    select: str
    predicate: Predicate
    value: str = ""


RUNS_DOCKER = Constraint(select=CONTAINERIZERS, predicate=Predicate.TEXT_MATCHES, value="(.*,)?docker(,.*)?")
"""An agent that says so."""

Groups = tuple[tuple[Constraint, ...], ...]
"""An agent is wanted when all constraints of one of the groups hold; no groups: every agent is."""

Amounts = tuple[tuple[str, int], ...]
"""Thousandths by name; of ranges and sets, how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferTerms:
    """Of one role. `minimum`: an offer has all of at least one of these; empty: anything; None: what the master asks of all."""

    role: str
    constraints: Groups = ()
    minimum: tuple[Amounts, ...] | None = None


def parse_minimum(text: str, field: str = "minimum") -> tuple[Amounts, ...]:
    """`cpus:4;mem:8GiB|gpus:1`: four cpus with 8 GiB, or a gpu. The empty text: anything. Raises InvalidRequest."""
    return tuple(_amounts(part, field) for part in text.split("|")) if text.strip() else ()


def _amounts(text: str, field: str) -> Amounts:
    found: dict[str, int] = {}
    for part in text.split(";"):
        name, colon, amount = (piece.strip() for piece in part.partition(":"))
        if not colon or not name or name in found:
            raise InvalidRequest(field, text, "write name:number, separated by ';', each name once; '|' means or")
        found[name] = parse_scalar_milli(name, amount, f"{field}.{name}")
    return tuple(sorted(found.items()))
