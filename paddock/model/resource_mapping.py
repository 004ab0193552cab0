"""Resources as a mapping, as YAML and JSON files have them.

    {cpus: 4, cpus(eng): 2, mem: "2GiB", "disk(eng>eng/web)#v1": 100, ports: "[1-9]"}

A key is what `resource_text.format_label` prints: name, the roles it is reserved for, which volume it is, and `!` revocable,
`~` whole or nothing, `&` shared. A value is a number, or what the text form has: `"2GiB"`, `"[1-9]"`, `"{a,b}"`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_role
from paddock.model.resource_text import parse_value
from paddock.model.resources import DiskVolume, Reservation, Resource, Resources, Scalar, milli_of

_LABEL = re.compile(
    r"(?P<name>[^\s:;()\[\]{},!~#&]+)(?:\((?P<roles>[^()]*)\))?(?P<marks>(?:[!~&]|#(?P<volume>[\w.-]+))*)", re.ASCII
)


def read_resource(label: object, value: object, field: str) -> Resource:
    """One of them, as it is said: below zero too. Raises InvalidRequest."""
    match = _LABEL.fullmatch(label) if isinstance(label, str) else None
    if match is None:
        raise InvalidRequest(
            field, label, "write name, name(role) or name(role)#volume, then ! ~ or & where they are meant"
        )
    where = f"{field}.{label}"
    roles = [check_role(role.strip(), where) for role in (match["roles"] or "").split(">") if role.strip()]
    if isinstance(value, str):
        amount = parse_value(match["name"], value.strip(), where)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        amount = Scalar(milli=milli_of(value))
    else:
        raise InvalidRequest(where, value, 'write a number, or a text: "2GiB", "[1-9]", "{a,b}"')
    return Resource(
        name=match["name"],
        value=amount,
        reservations=tuple(Reservation(role=role) for role in roles if roles != ["*"]),
        volume=DiskVolume(persistence_id=match["volume"]) if match["volume"] else None,
        revocable="!" in match["marks"],
        shared="&" in match["marks"],
        indivisible="~" in match["marks"],
    )


def read_resources(content: Mapping[object, object], field: str) -> Resources:
    """As they are said: nothing is added up, left out or checked; see `check_resources` and `Resources.of`."""
    return Resources(tuple(read_resource(label, value, field) for label, value in content.items()))
