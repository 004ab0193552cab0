"""What one setting is: its words for people, and how its text becomes a value. Sizes and durations have units."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import field
from decimal import Decimal
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

_SPEC = "paddock_setting"

_BYTES_PER_UNIT = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
# Mesos writes 10secs and 2mins; people write 10s and 2m.
_SECONDS_PER_UNIT = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "secs": Decimal(1),
    "m": Decimal(60),
    "mins": Decimal(60),
    "h": Decimal(3600),
    "hrs": Decimal(3600),
    "d": Decimal(86_400),
    "days": Decimal(86_400),
    "weeks": Decimal(604_800),
}
_QUANTITY = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,9})?)\s*([A-Za-z]+)", re.ASCII)
_SIZE_LIMIT_BYTES = 2**60
_S_PER_DAY = 86_400
_DURATION_LIMIT_S = 10 * 365 * _S_PER_DAY


class Rejected(ValueError):
    """The text is no value of this kind; the words say what is accepted."""


class Kind(Generic[T]):
    """`placeholder` stands for the value in --help; `parse` raises Rejected; `show` is its reverse."""

    def __init__(self, placeholder: str, parse: Callable[[str], T], show: Callable[[T], str] = str) -> None:
        self.placeholder = placeholder
        self.parse = parse
        self.show = show


class Setting:
    """What `setting` leaves in a field's metadata. `parse` gives an object of the field's type."""

    def __init__(self, default: T, help_text: str, kind: Kind[T], flag: str, *, reloads: bool) -> None:
        self.reloads = reloads
        self.default_text = kind.show(default)
        self.help_text = help_text
        self.placeholder = kind.placeholder
        self.parse: Callable[[str], object] = kind.parse
        self.flag = flag


def setting(default: T, help_text: str, kind: Kind[T], *, name: str = "", reloads: bool = False) -> T:
    """A field of a settings dataclass. `name`: as people write it, when the field's own name carries a unit. `reloads`: a
    SIGHUP is enough to change it.
    """
    metadata = {_SPEC: Setting(default, help_text, kind, name.replace("_", "-"), reloads=reloads)}
    return field(default=default, metadata=metadata)


def spec_of(metadata: object) -> Setting:
    """The Setting of a field that `setting` made."""
    assert hasattr(metadata, "__getitem__")
    spec = metadata[_SPEC]
    assert isinstance(spec, Setting)
    return spec


def _boolean(word: str) -> bool:
    if word not in {"true", "false"}:
        raise Rejected("write true or false")
    return word == "true"


def _size_bytes(word: str) -> int:
    match = _QUANTITY.fullmatch(word)
    if match is None or match.group(2) not in _BYTES_PER_UNIT:
        raise Rejected(f"write a size with its unit, {', '.join(_BYTES_PER_UNIT)}: 512MiB")
    size_bytes = int(Decimal(match.group(1)) * _BYTES_PER_UNIT[match.group(2)])
    if size_bytes > _SIZE_LIMIT_BYTES:
        raise Rejected("write at most 1048576TiB")
    return size_bytes


def _duration_s(word: str) -> float:
    match = _QUANTITY.fullmatch(word)
    if match is None or match.group(2) not in _SECONDS_PER_UNIT:
        raise Rejected("write a duration with its unit, ms, s, m, h or d: 30s")
    seconds = Decimal(match.group(1)) * _SECONDS_PER_UNIT[match.group(2)]
    if seconds > _DURATION_LIMIT_S:
        raise Rejected("write at most ten years")
    return float(seconds)


def _show_size(size_bytes: int) -> str:
    unit = next(unit for unit, factor in reversed(_BYTES_PER_UNIT.items()) if size_bytes % factor == 0)
    return f"{size_bytes // _BYTES_PER_UNIT[unit]}{unit}"


def _show_duration(seconds: float) -> str:
    """As it can be read again: never with an exponent."""
    if seconds and not seconds % _S_PER_DAY:
        return f"{int(seconds // _S_PER_DAY)}d"
    return f"{Decimal(str(seconds)):f}".removesuffix(".0") + "s"


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    return () if words == ("",) else words


def _absolute(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise Rejected("write an absolute path")
    return text


TEXT: Kind[str] = Kind("TEXT", str)
PATH: Kind[str] = Kind("PATH", _absolute)
BOOLEAN: Kind[bool] = Kind("true|false", _boolean, lambda value: str(value).lower())
SIZE_BYTES: Kind[int] = Kind("SIZE", _size_bytes, _show_size)
DURATION_S: Kind[float] = Kind("DURATION", _duration_s, _show_duration)
WORDS: Kind[tuple[str, ...]] = Kind("A,B,…", _words, ",".join)


def whole(least: int, most: int) -> Kind[int]:
    """Whole numbers, both bounds included."""

    def parse(word: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", word, re.ASCII) or not least <= int(word) <= most:
            raise Rejected(f"write a whole number from {least} to {most}")
        return int(word)

    return Kind("N", parse)


def one_of(choices: type[E]) -> Kind[E]:
    """The values of an enum of words."""
    words = [str(choice.value) for choice in choices]

    def parse(word: str) -> E:
        if word not in words:
            raise Rejected(f"write {' or '.join(words)}")
        return choices(word)

    return Kind("|".join(words), parse, lambda choice: str(choice.value))


def optional(kind: Kind[T]) -> Kind[T | None]:
    """The empty text means: not set."""
    return Kind(
        kind.placeholder, lambda text: kind.parse(text) if text else None, lambda v: "" if v is None else kind.show(v)
    )


def checked(kind: Kind[T], check: Callable[[T], None]) -> Kind[T]:
    """The kind, and a further rule that raises Rejected or PaddockError."""

    def parse(text: str) -> T:
        value = kind.parse(text)
        check(value)
        return value

    return Kind(kind.placeholder, parse, kind.show)
