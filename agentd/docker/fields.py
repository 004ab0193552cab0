"""What the engine answered, as values of known types: what is missing is empty, what has another type is an error by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar, overload

from agentd.docker.failures import EngineFailure

Kind = TypeVar("Kind")


class Fields:
    """A JSON object of the engine's. Go leaves out what is empty, or writes null: both read as nothing."""

    __slots__ = ("_place", "_value")

    def __init__(self, value: object, place: str) -> None:
        """`place`: what was asked for, for the error."""
        self._place = place
        self._value: dict[object, object] = {}
        if isinstance(value, dict):
            self._value = value
        elif value is not None:
            raise self._wrong(value)

    def inside(self, name: str) -> Fields:
        """An object inside."""
        return Fields(self._value.get(name), f"{self._place}.{name}")

    def text(self, name: str) -> str:
        """A string."""
        return self._of(name, str) or ""

    def number(self, name: str) -> int:
        """An integer; true and false are none."""
        value = self._value.get(name)
        if isinstance(value, bool):
            raise self._wrong(value, name)
        return self._of(name, int) or 0

    def flag(self, name: str) -> bool:
        """True or false."""
        return self._of(name, bool) or False

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        found = []
        for value in self._of(name, list) or []:
            if not isinstance(value, str):
                raise self._wrong(value, name)
            found.append(value)
        return tuple(found)

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """An object of strings, in the order of its keys."""
        found = self.inside(name)
        return tuple((key, found.text(key)) for key in sorted(found.names()))

    def each(self, name: str) -> Iterator[Fields]:
        """A list of objects."""
        for index, value in enumerate(self._of(name, list) or []):
            yield Fields(value, f"{self._place}.{name}[{index}]")

    def names(self) -> list[str]:
        """Of all that is inside."""
        return [name for name in self._value if isinstance(name, str)]

    @overload
    def _of(self, name: str, kind: type[list[object]]) -> list[object] | None: ...
    @overload
    def _of(self, name: str, kind: type[Kind]) -> Kind | None: ...
    def _of(self, name: str, kind: type[Kind]) -> Kind | None:
        value = self._value.get(name)
        if value is None or isinstance(value, kind):
            return value
        raise self._wrong(value, name)

    def tells(self, name: str) -> bool:
        """Whether anything is said."""
        return self._value.get(name) is not None

    def _wrong(self, value: object, name: str = "") -> EngineFailure:
        place = f"{self._place}.{name}" if name else self._place
        shown = repr(value)
        return EngineFailure(
            f"the Docker engine's answer makes no sense: {place} is {shown[:80]}; see whether another program listens there"
        )
