"""Frozen values to JSON and back, by their declared types: for agentd's checkpoint log and masterd's recordings.

Fields at their default are left out; a field that an older agent did not write gets its default; one that a newer agent
wrote, and this one does not know, is an error: an agent must not forget what it cannot read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from fractions import Fraction
from functools import cache
from types import NoneType, UnionType
from typing import NewType, Union, get_args, get_origin, get_type_hints

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]
_Encode = Callable[[object], Json]
_Decode = Callable[[Json], object]

_TYPE_KEY = "is"
# Made once: JSONEncoder makes one anew for each value.
_pieces_of = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, None, json.encoder.encode_basestring, None, ":", ",", False, False, False
)


class CodecError(ValueError):
    """Text that does not say what the type declares; the message names the place."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Both directions of one type."""

    encode: _Encode
    decode: _Decode


def to_bytes(value: object, declared: type | UnionType) -> bytes:
    """One line of JSON."""
    return "".join(_pieces_of(codec_of(declared).encode(value), 0)).encode()


def from_bytes(content: bytes, declared: type | UnionType) -> object:
    """Raises CodecError."""
    try:
        parsed: Json = json.loads(content)
    except ValueError as error:
        raise CodecError(f"not JSON: {error}") from None
    return codec_of(declared).decode(parsed)


@cache
def codec_of(declared: Hashable) -> Codec:
    """The codec of a type, made once."""
    if isinstance(declared, NewType):
        return codec_of(declared.__supertype__)
    if declared is bytes:
        return Codec(_bytes_to_json, lambda value: bytes.fromhex(_expect_text(value)))
    if declared in {str, int, bool}:
        assert isinstance(declared, type)
        return _scalar(declared)
    origin = get_origin(declared)
    if origin in {Union, UnionType}:
        return _union(get_args(declared))
    if origin in {tuple, frozenset}:
        return _sequence(declared)
    if origin is Mapping:
        return _mapping(get_args(declared)[1])
    if declared is Fraction:
        return Codec(str, _fraction)
    if isinstance(declared, type) and issubclass(declared, Enum):
        return _enum(declared)
    if isinstance(declared, type) and is_dataclass(declared):
        return _dataclass(declared)
    raise TypeError(f"no codec for {declared}")


def _bytes_to_json(value: object) -> Json:
    assert isinstance(value, bytes)
    return value.hex()


def _expect_text(value: Json) -> str:
    if not isinstance(value, str):
        raise CodecError(f"{value!r} is not a text")
    return value


def _expect_list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise CodecError(f"{value!r} is not a list")
    return value


def _scalar(kind: type) -> Codec:
    def encode(value: object) -> Json:
        if type(value) is kind:
            return value  # type: ignore[return-value]
        assert isinstance(value, str | int)
        return int(value) if kind is int else value

    def decode(value: Json) -> object:
        if type(value) is not kind:
            raise CodecError(f"{value!r} is not {kind.__name__}")
        return value

    return Codec(encode, decode)


def _enum(kind: type[Enum]) -> Codec:
    def encode(value: object) -> Json:
        assert isinstance(value, kind)
        found: Json = value.value
        return found

    def decode(value: Json) -> object:
        try:
            return kind(value)
        except ValueError:
            raise CodecError(f"{value!r} is no {kind.__name__}") from None

    return Codec(encode, decode)


def _union(members: tuple[object, ...]) -> Codec:
    others = tuple(member for member in members if member is not NoneType and isinstance(member, Hashable))
    if len(others) == 1:
        return _optional(codec_of(others[0]))
    codecs = {
        member.__name__: codec_of(member) for member in others if isinstance(member, type) and is_dataclass(member)
    }
    plain = [member for member in others if member in {str, int}]
    if not codecs:
        # Reason | int: an enum of numbers that outsiders may extend.
        return _scalar(int)

    takes_none = NoneType in members

    def encode(value: object) -> Json:
        if value is None or isinstance(value, str):
            return value
        name = type(value).__name__
        encoded = codecs[name].encode(value)
        assert isinstance(encoded, dict)
        return {_TYPE_KEY: name, **encoded}

    def decode(value: Json) -> object:
        if (value is None and takes_none) or (isinstance(value, str) and str in plain):
            return value
        if not isinstance(value, dict):
            raise CodecError(f"{value!r} is none of {', '.join(codecs)}")
        rest = dict(value)
        name = rest.pop(_TYPE_KEY, None)
        if not isinstance(name, str) or name not in codecs:
            raise CodecError(f"{name!r} is none of {', '.join(codecs)}; a newer agent wrote this")
        return codecs[name].decode(rest)

    return Codec(encode, decode)


def _optional(inner: Codec) -> Codec:
    return Codec(
        lambda value: None if value is None else inner.encode(value),
        lambda value: None if value is None else inner.decode(value),
    )


def _sequence(declared: object) -> Codec:
    arguments = get_args(declared)
    if get_origin(declared) is frozenset:
        inner = codec_of(arguments[0])
        return Codec(
            lambda value: sorted((inner.encode(item) for item in _iterable(value)), key=repr),
            lambda value: frozenset(inner.decode(item) for item in _expect_list(value)),
        )
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        inner = codec_of(arguments[0])
        return Codec(
            lambda value: [inner.encode(item) for item in _iterable(value)],
            lambda value: tuple([inner.decode(item) for item in _expect_list(value)]),
        )
    members = [codec_of(argument) for argument in arguments]

    def decode(value: Json) -> object:
        items = _expect_list(value)
        if len(items) != len(members):
            raise CodecError(f"{value!r} has not {len(members)} parts")
        return tuple([member.decode(item) for member, item in zip(members, items, strict=True)])

    return Codec(
        lambda value: [member.encode(item) for member, item in zip(members, _iterable(value), strict=True)], decode
    )


def _fraction(value: Json) -> Fraction:
    try:
        return Fraction(_expect_text(value))
    except (ValueError, ZeroDivisionError):
        raise CodecError(f"{value!r} is no fraction") from None


def _mapping(declared: Hashable) -> Codec:
    """Of texts, in their order."""
    inner = codec_of(declared)

    def encode(value: object) -> Json:
        assert isinstance(value, Mapping)
        return {str(name): inner.encode(part) for name, part in sorted(value.items())}

    def decode(value: Json) -> object:
        if not isinstance(value, dict):
            raise CodecError(f"{value!r} is no mapping")
        return {name: inner.decode(part) for name, part in value.items()}

    return Codec(encode, decode)


def _iterable(value: object) -> tuple[object, ...] | frozenset[object]:
    assert isinstance(value, tuple | frozenset)
    return value


def _default(field: Field[object]) -> object:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _dataclass(kind: type) -> Codec:
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    parts = [(field.name, codec_of(hints[field.name]), _default(field)) for field in fields(kind)]
    known = {name: codec for name, codec, _ in parts}
    required = {name for name, _, default in parts if default is MISSING}

    encoders = [(name, codec.encode, default) for name, codec, default in parts]

    def encode(value: object) -> Json:
        found: dict[str, Json] = {}
        for name, encode_part, default in encoders:
            part: object = getattr(value, name)
            if part is not default and part != default:
                found[name] = encode_part(part)
        return found

    def decode(value: Json) -> object:
        if not isinstance(value, dict):
            raise CodecError(f"{value!r} is no {kind.__name__}")
        if not value.keys() <= known.keys():
            unknown = sorted(value.keys() - known.keys())
            raise CodecError(f"{kind.__name__} has no field {', '.join(unknown)}; a newer agent wrote this")
        if not required <= value.keys():
            raise CodecError(f"{kind.__name__} lacks {', '.join(sorted(required - value.keys()))}")
        arguments = {name: known[name].decode(part) for name, part in value.items()}
        made: object = kind(**arguments)
        return made

    return Codec(encode, decode)
