"""What a message meant is remembered by its bytes: tasks of one service, and their containers, differ in little but ids.

The values are frozen, so all may share one; and what is the same object is compared, and written down again, faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar, TypeVarTuple

from google.protobuf.message import Message

More = ParamSpec("More")
Parts = TypeVarTuple("Parts")
One = TypeVar("One", bound=Message)
Value = TypeVar("Value")

MAX_COUNT = 64
MAX_BYTES = 1024
"""A longer one is converted each time: remembered it would take room, and most likely has secrets in its environment."""


def remembered(convert: Callable[Concatenate[One, More], Value]) -> Callable[Concatenate[One, More], Value]:
    """Around the conversion of one message. What is refused is refused anew each time, by the field's own name."""
    known: dict[tuple[object, ...], Value] = {}

    @wraps(convert)
    def converted(message: One, /, *more: More.args, **named: More.kwargs) -> Value:
        if message.ByteSize() > MAX_BYTES:
            return convert(message, *more, **named)
        # Where it stands (`more`) is for messages about what is refused; what else is told (`named`) changes the meaning.
        key = (message.SerializeToString(), *named.values())
        found = known.get(key)
        if found is None:
            found = convert(message, *more, **named)
            _remember(known, key, found)
        return found

    return converted


def all_remembered(
    convert: Callable[Concatenate[Sequence[One], More], Value],
) -> Callable[Concatenate[Sequence[One], More], Value]:
    """The same, around the conversion of several at once."""
    known: dict[tuple[bytes, ...], Value] = {}

    @wraps(convert)
    def converted(messages: Sequence[One], /, *more: More.args, **named: More.kwargs) -> Value:
        if len(messages) > MAX_COUNT or sum(message.ByteSize() for message in messages) > MAX_BYTES:
            return convert(messages, *more, **named)
        contents = tuple([message.SerializeToString() for message in messages])
        found = known.get(contents)
        if found is None:
            found = convert(messages, *more, **named)
            _remember(known, contents, found)
        return found

    return converted


def same_remembered(convert: Callable[[*Parts], One]) -> Callable[[*Parts], One]:
    """Around the other direction: the message of the very same frozen values is the very same one, so take parts of it by copy
    and change nothing in it.
    """
    known: dict[tuple[int, ...], tuple[tuple[*Parts], One]] = {}

    @wraps(convert)
    def converted(*parts: *Parts) -> One:
        key = tuple(map(id, parts))
        found = known.get(key)
        if found is not None:
            return found[1]
        message = convert(*parts)
        if message.ByteSize() <= MAX_BYTES:
            # With its parts, so that nothing else can come to have their numbers.
            _remember(known, key, (parts, message))
        return message

    return converted


_Key = TypeVar("_Key")


def _remember(known: dict[_Key, Value], key: _Key, value: Value) -> None:
    if len(known) >= MAX_COUNT:
        del known[next(iter(known))]
    known[key] = value
