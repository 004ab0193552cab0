"""Messages made up from their schema: fields that honest callers fill, and what dishonest ones put into them."""

from __future__ import annotations

from typing import TypeVar, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from hypothesis import strategies as st

Made = TypeVar("Made", bound=Message)

TEXTS = st.sampled_from(
    (
        "",
        "a1",
        "a2",
        "r",
        "r/s",
        "q",
        "*",
        "cpus",
        "mem",
        "disk",
        "gpus",
        "v",
        "f",
        "t1",
        "/",
        "..",
        "-x",
        "a b",
        "\t",
        "x" * 300,
    )
) | st.text(st.characters(codec="utf-8"), max_size=6)
_SIGNED = st.sampled_from((0, 1, 500, 1_000, 4_000, 2**40, 2**63 - 1, -1, -(2**63)))
_UNSIGNED = st.sampled_from((0, 1, 500, 1_000, 60_000, 2**40, 2**63, 2**64 - 1))
_SMALL = st.sampled_from((0, 1, 2, 100, 2**31 - 1, -1, -(2**31)))
_BY_TYPE = {
    FieldDescriptor.TYPE_STRING: TEXTS,
    FieldDescriptor.TYPE_BYTES: st.sampled_from(("", "dXV1dXV1dXV1dXV1dXV1dQ==", "eA==")),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT64: _SIGNED,
    FieldDescriptor.TYPE_UINT64: _UNSIGNED,
    FieldDescriptor.TYPE_INT32: _SMALL,
    FieldDescriptor.TYPE_UINT32: _SMALL.filter(lambda number: number >= 0),
    FieldDescriptor.TYPE_ENUM: _SMALL,
    FieldDescriptor.TYPE_DOUBLE: st.sampled_from((0.0, 1.5, -1.0)),
}
_DEPTH_LIMIT = 5


def messages(kind: type[Made]) -> st.SearchStrategy[Made]:
    """Every field may be there or not, whatever the others are."""
    return _values(cast("Descriptor", kind.DESCRIPTOR), 0).map(lambda values: ParseDict(values, kind()))


@st.composite
def _values(draw: st.DrawFn, descriptor: Descriptor, depth: int) -> dict[str, object]:
    values: dict[str, object] = {}
    taken: set[str] = set()
    for field in draw(st.permutations(tuple(descriptor.fields))):
        choice = field.containing_oneof.name if field.containing_oneof else ""
        if choice in taken or not draw(st.sampled_from((True, True, False))):
            continue
        if choice:
            taken.add(choice)
        values[field.name] = draw(_field(field, depth))
    return values


def _field(field: FieldDescriptor, depth: int) -> st.SearchStrategy[object]:
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        value = nested.fields_by_name["value"]
        return st.dictionaries(TEXTS, _BY_TYPE[value.type], max_size=3)
    if nested is not None and nested.full_name == "google.protobuf.Timestamp":
        one: st.SearchStrategy[object] = st.sampled_from(("2030-01-01T00:00:00Z", "1970-01-01T00:00:00Z"))
    elif nested is not None:
        one = st.just({}) if depth >= _DEPTH_LIMIT else _values(nested, depth + 1)
    else:
        one = _BY_TYPE[field.type]
    return st.lists(one, max_size=3) if field.is_repeated else one
