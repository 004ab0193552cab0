"""Reads mappings into our own values, and into the arguments of our own calls, by their annotations.

Every number has its unit in its name, so the name says how it is read: what is called `interval_ns` here is said as `interval`
or `interval_s` in seconds there, and thousandths (`guarantees_milli`, `Milli`) in whole units. An `agent_id` is said as `agent`
or `id`. An argument that is a dataclass may be said in one mapping with the others. null is as if nothing had been said.
What is missing, unknown or of another kind is named with its place.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, NewType, Union, get_args, get_origin, get_type_hints

from paddock.model.errors import InvalidRequest
from paddock.model.resource_mapping import read_resources
from paddock.model.resource_text import parse_resources
from paddock.model.resources import Resources, Scalar, check_resources, milli_of

Read = Callable[[object, str], object]
Parameters = Mapping[str, tuple[object, bool]]
"""By name: the annotation, and whether it has to be there."""

_LISTS: Mapping[object, Callable[[list[object]], object]] = {
    tuple: tuple,
    frozenset: frozenset,
    list: list,
    Sequence: tuple,
    Collection: tuple,
}
_TIMES = ("_ns", "_ms", "_s")
_UNITS = (*_TIMES, "_milli")


class UnknownWord(InvalidRequest):
    """Nothing is called so."""


class Reader:
    """`kinds`: how values of some types are read. `names`: other words for a field, by its name without the unit."""

    def __init__(
        self, kinds: Mapping[object, Read] | None = None, names: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._kinds = {**_KINDS, **(kinds or {})}
        self._names = names or {}

    def call(self, target: object, content: object, place: str, **known: object) -> object:
        """With what is said, and what is known. What is said cannot be what is known."""
        assert callable(target), target
        answer: object = target(**self.arguments(target, content, place, frozenset(known)), **known)
        return answer

    def arguments(self, target: object, content: object, place: str, known: Collection[str] = ()) -> dict[str, object]:
        """By name. What is no mapping is the first one; a mapping is the only one if that is what it takes."""
        parameters = {name: each for name, each in _parameters(_plain(target)).items() if name not in known}
        first = next(iter(parameters), None)
        if content is None and first is not None and NoneType not in get_args(parameters[first][0]):
            content = {}
        if first is not None and (not isinstance(content, Mapping) or _takes_whole(parameters)):
            for name, (_, needed) in parameters.items():
                if needed and name != first:
                    raise InvalidRequest(place, content, f"write a mapping: {', '.join(map(_said, parameters))}")
            return {first: self.read(parameters[first][0], content, place, _unit(first))}
        words = dict(content) if isinstance(content, Mapping) else {}
        found = self._taken(parameters, words, place)
        for word in words:
            known_words = sorted(set(self._fields_of(parameters)))
            near = difflib.get_close_matches(str(word), known_words, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UnknownWord(f"{place}.{word}", word, f"{hint}known are {', '.join(known_words) or 'none'}")
        return found

    def _taken(self, parameters: Parameters, words: dict[object, object], place: str) -> dict[str, object]:
        """Takes the words out that it has read."""
        found: dict[str, object] = {}
        for name, (kind, needed) in parameters.items():
            word = next((word for word in self._words(name) if word in words), None)
            content = None if word is None else words.pop(word)
            if content is not None:
                found[name] = self.read(kind, content, f"{place}.{word}", _unit(name))
            elif (parts := self._parts_of(kind)) is not None and (needed or self._speaks_of(parts, words)):
                found[name] = parts(**self._taken(_parameters(parts), words, place))
            elif needed:
                raise InvalidRequest(f"{place}.{_said(name)}", None, "it is needed")
        return found

    def _parts_of(self, kind: object) -> type | None:
        """The kind when its fields may be said by themselves."""
        *_, own = (part for part in get_args(kind) or (kind,) if part is not NoneType)
        return own if isinstance(own, type) and is_dataclass(own) and own not in self._kinds else None

    def _speaks_of(self, parts: type, words: Collection[object]) -> bool:
        """Whether any of the words is of one of its fields."""
        for name, (kind, _) in _parameters(parts).items():
            inner = self._parts_of(kind)
            if any(word in words for word in self._words(name)) or (inner and self._speaks_of(inner, words)):
                return True
        return False

    def _fields_of(self, parameters: Parameters) -> Iterator[str]:
        """As they are said, those of parts too."""
        for name, (kind, _) in parameters.items():
            inner = self._parts_of(kind)
            yield from (_said(name),) if inner is None else self._fields_of(_parameters(inner))

    def _words(self, name: str) -> Iterator[str]:
        base = _said(name)
        yield from (name, base, *self._names.get(base, ()))
        if name.endswith(_TIMES):
            yield from (f"{base}_s", f"{base}_seconds")
        if base.endswith("_id"):
            yield from (base.removesuffix("_id"), "id")

    def read(self, kind: object, content: object, place: str, unit: str = "") -> object:
        """A value of the kind. Raises InvalidRequest."""
        own = _WITH_UNIT.get(unit) if kind is int else self._kinds.get(kind)
        if own is not None:
            return own(content, place)
        origin, parts = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.read(parts[0], content, place, parts[1])
        if origin in {Union, UnionType}:
            return self._read_one_of(parts, content, place, unit)
        if origin is Mapping:
            return self._read_mapping(parts[0], parts[1], content, place, unit)
        if origin in _LISTS:
            return _LISTS[origin]([self.read(parts[0], each, where, unit) for each, where in _items(content, place)])
        if isinstance(kind, NewType):
            return self.read(kind.__supertype__, content, place, unit)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return _member(kind, content, place)
        if isinstance(kind, type) and is_dataclass(kind):
            return kind(**self.arguments(kind, content, place))
        return content

    def _read_one_of(self, parts: Sequence[object], content: object, place: str, unit: str) -> object:
        """The first that will have it."""
        if content is None and NoneType in parts:
            return None
        *others, last = (part for part in parts if part is not NoneType)
        for part in others:
            try:
                return self.read(part, content, place, unit)
            except InvalidRequest:
                continue
        return self.read(last, content, place, unit)

    def _read_mapping(self, key: object, value: object, content: object, place: str, unit: str) -> dict[object, object]:
        """Keys of two parts are said as a mapping in a mapping."""
        if not isinstance(content, Mapping):
            raise InvalidRequest(place, content, "write a mapping: name: value")
        if get_origin(key) is not tuple:
            return {each: self.read(value, part, f"{place}.{each}", unit) for each, part in content.items()}
        return {
            (outer, inner): part
            for outer, words in content.items()
            for inner, part in self._read_mapping(str, value, words, f"{place}.{outer}", unit).items()
        }


def find(operation: str, hearers: Iterable[object]) -> object:
    """The method of this name that the first of the hearers has who has one; None: nobody has."""
    found = [] if operation.startswith("_") else [getattr(each, operation, None) for each in hearers]
    return next((each for each in found if callable(each)), None)


def _plain(target: object) -> object:
    """A method's function: it is the same for all objects."""
    function: object = getattr(target, "__func__", target)
    return function


@lru_cache(maxsize=256)
def _parameters(target: object) -> Parameters:
    assert callable(target), target
    own: object = vars(target)["__init__"] if isinstance(target, type) and not is_dataclass(target) else target
    hints = get_type_hints(own, include_extras=True)
    return {
        name: (hints.get(name, object), parameter.default is inspect.Parameter.empty)
        for name, parameter in inspect.signature(target).parameters.items()
        if name != "self"
    }


def _takes_whole(parameters: Parameters) -> bool:
    kinds = [kind for kind, _ in parameters.values()]
    return len(kinds) == 1 and (kinds[0] is object or get_origin(kinds[0]) is Mapping)


def _unit(name: str) -> str:
    return next((unit for unit in _UNITS if name.endswith(unit)), "")


def _said(name: str) -> str:
    return name.removesuffix(_unit(name))


def _items(content: object, place: str) -> list[tuple[object, str]]:
    if not isinstance(content, list | tuple):
        raise InvalidRequest(place, content, "write a list: [a, b]")
    return [(each, f"{place}[{number}]") for number, each in enumerate(content)]


def _member(kind: type[Enum], content: object, place: str) -> Enum:
    for member in kind:
        if content in (member.name, member.value):
            return member
    raise InvalidRequest(place, content, f"write one of {', '.join(member.name for member in kind)}")


def _number(content: object, place: str) -> float:
    if not isinstance(content, int | float) or isinstance(content, bool) or not math.isfinite(content):
        raise InvalidRequest(place, content, "write a number")
    return content


def _whole(content: object, place: str) -> int:
    if not isinstance(content, int) or isinstance(content, bool):
        raise InvalidRequest(place, content, "write a whole number")
    return content


def _truth(content: object, place: str) -> bool:
    if not isinstance(content, bool):
        raise InvalidRequest(place, content, "write true or false")
    return content


def _text(content: object, place: str) -> str:
    if not isinstance(content, str | int | float) or isinstance(content, bool):
        raise InvalidRequest(place, content, "write a text")
    return str(content)


def resources_of(content: object, place: str) -> Resources:
    """A mapping, or Mesos' text form. Of a mapping nothing is left out: a limit of 0 is one."""
    if isinstance(content, Mapping):
        return check_resources(read_resources(content, place), place)
    if not isinstance(content, str):
        raise InvalidRequest(place, content, 'write resources as {cpus: 4, mem: 1024}, or as "cpus:4;mem:1024"')
    return parse_resources(content, place)


_KINDS: Mapping[object, Read] = {
    Resources: resources_of,
    Scalar: lambda content, place: Scalar(milli=milli_of(_number(content, place))),
    Fraction: lambda content, place: Fraction(str(_number(content, place))),
    bool: _truth,
    str: _text,
    float: _number,
}
_WITH_UNIT: Mapping[str, Read] = {
    "_ns": lambda content, place: round(_number(content, place) * 10**9),
    "_ms": lambda content, place: math.ceil(_number(content, place) * 1000),
    "_milli": lambda content, place: milli_of(_number(content, place)),
    "": _whole,
}
