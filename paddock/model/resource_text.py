"""The Mesos text form of resources and attributes: parsed strictly, printed so that it parses back to the same.

    resources  := item (";" item)*      item := name ["(" role ")"] ":" value
    value      := number [unit] | "[" a "-" b ("," c "-" d)* "]" | "{" name ("," name)* "}"
    attributes := name ":" (number | ranges | text) ((";" | newline) …)*

`mem` and `disk` without a unit are MiB; KiB, MiB, GiB, TiB are taken too. Three decimals are kept.

What is printed for people says more, in the name's place, where there is more to say: `format_label`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_role
from paddock.model.resources import (
    MILLI,
    MILLI_LIMIT,
    Items,
    Ranges,
    Reservation,
    Resource,
    Resources,
    Scalar,
    Value,
    check_resources,
)

_MIB_PER_UNIT = {
    "B": Decimal(1) / 2**20,
    "KiB": Decimal(1) / 1024,
    "MiB": Decimal(1),
    "GiB": Decimal(1024),
    "TiB": Decimal(1024 * 1024),
}
_NUMBER = re.compile(r"([+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)(?:([eE][+-]?[0-9]{1,2}))?\s*([A-Za-z]*)", re.ASCII)
_ITEM = re.compile(r"\s*([^\s:()\[\]{},;]+)\s*(?:\(\s*([^()]*?)\s*\))?\s*:\s*(.*?)\s*", re.ASCII | re.DOTALL)
_BYTE_NAMES = frozenset({"mem", "disk"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """What is true of an agent and cannot be used up."""

    name: str
    value: Scalar | Ranges | str


def parse_scalar_milli(name: str, text: str, field: str) -> int:
    """`0.25`, `512MiB`, `2GiB` → thousandths of the unit. Raises InvalidRequest for anything else, NaN and infinity
    included.
    """
    remedy = "use a number from 0 to 1e12, for mem and disk with MiB (the default), KiB, GiB or TiB"
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise InvalidRequest(field, text, remedy)
    digits, exponent, unit = match.groups()
    try:
        number = Decimal(digits + (exponent or ""))
    except InvalidOperation:
        raise InvalidRequest(field, text, remedy) from None
    if unit:
        if name not in _BYTE_NAMES or unit not in _MIB_PER_UNIT:
            raise InvalidRequest(field, text, remedy)
        number *= _MIB_PER_UNIT[unit]
    if not 0 <= number * MILLI <= MILLI_LIMIT:
        raise InvalidRequest(field, text, remedy)
    return int((number * MILLI).to_integral_value(rounding=ROUND_HALF_EVEN))


def _parse_ranges(text: str, field: str) -> Ranges:
    spans: list[tuple[int, int]] = []
    if not text[1:-1].strip():
        return Ranges()
    for part in text[1:-1].split(","):
        begin, dash, end = (piece.strip() for piece in part.partition("-"))
        if (
            not dash
            or not (begin.isascii() and begin.isdigit() and end.isascii() and end.isdigit())
            or max(len(begin), len(end)) > 19
        ):
            raise InvalidRequest(field, text, "write ranges as [31000-32000,33000-33100]")
        if int(begin) > int(end) or int(end) >= 2**63:
            raise InvalidRequest(field, text, "a range goes upwards, below 2**63")
        spans.append((int(begin), int(end)))
    return Ranges.of(spans)


def _parse_items(text: str, field: str) -> Items:
    names = [part.strip() for part in text[1:-1].split(",")]
    if names == [""]:
        return Items()
    if any(not name or not name.isprintable() for name in names) or len(set(names)) != len(names):
        raise InvalidRequest(field, text, "write a set as {a,b}, each name once")
    return Items(names=frozenset(names))


def parse_value(name: str, text: str, field: str) -> Value:
    """A number, ranges in brackets or a set in braces. Raises InvalidRequest."""
    if text.startswith("[") and text.endswith("]"):
        return _parse_ranges(text, field)
    if text.startswith("{") and text.endswith("}"):
        return _parse_items(text, field)
    return Scalar(milli=parse_scalar_milli(name, text, field))


def parse_resources(text: str, field: str = "resources") -> Resources:
    """`cpus(prod):2;mem:4096;ports:[31000-32000];ssd:{a,b}`. A role in parentheses is a static reservation.

    The empty text is no resources. A name given twice is added up. Zeros are dropped: ask `named_in` what was
    mentioned.
    """
    found: list[Resource] = []
    for part in text.split(";"):
        if not part.strip():
            continue
        match = _ITEM.fullmatch(part)
        if match is None:
            raise InvalidRequest(field, part, "write name:value or name(role):value, separated by ';'")
        name, role, value = match.groups()
        reservations: tuple[Reservation, ...] = ()
        if role is not None and check_role(role, f"{field}.{name}") != "*":
            reservations = (Reservation(role=role),)
        found.append(Resource(name=name, value=parse_value(name, value, f"{field}.{name}"), reservations=reservations))
    check_resources(Resources(tuple(found)), field)
    return Resources.of(found)


def named_in(text: str) -> frozenset[str]:
    """The names mentioned, those with zero too: `cpus:0` is not the same as nothing said about cpus."""
    return frozenset(match.group(1) for part in text.split(";") if (match := _ITEM.fullmatch(part)))


def format_scalar(milli: int) -> str:
    """Thousandths as a decimal number without trailing zeros."""
    sign, milli = ("-", -milli) if milli < 0 else ("", milli)
    whole, rest = divmod(milli, MILLI)
    return f"{sign}{whole}" + (f".{rest:03d}".rstrip("0") if rest else "")


def format_value(value: Value) -> str:
    """In the text form."""
    match value:
        case Scalar(milli=milli):
            return format_scalar(milli)
        case Ranges(spans=spans):
            return "[" + ",".join(f"{begin}-{end}" for begin, end in spans) + "]"
        case Items(names=names):
            return "{" + ",".join(sorted(names)) + "}"


def format_label(resource: Resource) -> str:
    """What tells it from others of its name: the roles it is reserved for, bottom first, which volume it is, and whether it
    is revocable (!), whole or nothing (~), or shared (&). `disk(eng>eng/web)#v1&`.
    """
    roles = ">".join(reservation.role for reservation in resource.reservations)
    volume = f"#{resource.volume.persistence_id}" if resource.volume else ""
    flags = ("!" * resource.revocable, "~" * resource.indivisible, "&" * resource.shared)
    return "".join((resource.name, f"({roles})" if roles else "", volume, *flags))


def format_resources(resources: Resources) -> str:
    """In the text form; what the form cannot say is in the labels."""
    return ";".join(f"{format_label(resource)}:{format_value(resource.value)}" for resource in resources.items)


def parse_attributes(text: str, field: str = "attributes") -> tuple[Attribute, ...]:
    """`rack:r1;level:10;keys:[1000-1500]`. Split at the first colon; sets are not attributes."""
    found: list[Attribute] = []
    for part in re.split(r"[;\n]", text):
        if not part.strip():
            continue
        name, colon, value = (piece.strip() for piece in part.partition(":"))
        if (
            not colon
            or not name
            or not value
            or not name.isprintable()
            or not value.isprintable()
            or value.startswith("{")
        ):
            raise InvalidRequest(field, part, "write name:value, the value a number, a range or a text")
        where = f"{field}.{name}"
        if value.startswith("[") and value.endswith("]"):
            found.append(Attribute(name=name, value=_parse_ranges(value, where)))
        elif _NUMBER.fullmatch(value) and value[-1] in "0123456789.":
            found.append(Attribute(name=name, value=Scalar(milli=parse_scalar_milli(name, value, where))))
        else:
            found.append(Attribute(name=name, value=value))
    return tuple(found)
