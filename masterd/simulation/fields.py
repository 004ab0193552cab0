"""Reads a scenario's mappings field by field: what is missing, unknown or of the wrong kind is named with its place."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import TypeVar

from masterd.simulation.laws import Constant, Exponential, Law, Uniform
from masterd.simulation.reading import resources_of
from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_role
from paddock.model.resources import Resources

LONGEST_S = 30 * 86_400.0
COUNT_LIMIT = 100_000

T = TypeVar("T")


class Fields:
    """One mapping at a place in the file. Whoever has read all that it knows calls `finish`: the rest is a mistake."""

    def __init__(self, content: object, place: str) -> None:
        if not isinstance(content, Mapping):
            raise InvalidRequest(place, content, "write a mapping: name: value, one to a line")
        self._content: dict[object, object] = dict(content)
        self._known: list[str] = []
        self._place = place

    def at(self, name: str) -> str:
        """The field's place, for messages."""
        return f"{self._place}.{name}" if self._place != "scenario" else name

    def finish(self) -> None:
        """Raises InvalidRequest for a field that nobody asked for."""
        for name in self._content:
            if name not in self._known:
                near = difflib.get_close_matches(str(name), self._known, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise InvalidRequest(self.at(str(name)), name, f"{hint}known are {', '.join(sorted(self._known))}")

    def has(self, name: str) -> bool:
        """Whether it is there."""
        self._known.append(name)
        return self._content.get(name) is not None

    def raw(self, name: str) -> object:
        """As it stands there."""
        return self._content.get(name)

    def _value(self, name: str) -> object:
        self._known.append(name)
        return self._content.get(name)

    def text(self, name: str, default: str | None = None) -> str:
        """A word."""
        value = self._value(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value or len(value) > 200:
            raise InvalidRequest(self.at(name), value, "write a text of 1 to 200 characters")
        return value

    def role(self, name: str) -> str:
        """A role that Mesos' rules allow."""
        return check_role(self.text(name), self.at(name))

    def number(self, name: str, default: float | None, *, least: float, most: float) -> float:
        """A number within bounds."""
        value = self._value(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise InvalidRequest(self.at(name), value, f"write a number between {least:g} and {most:g}")
        return float(value)

    def truth(self, name: str) -> bool:
        """Yes or no; no when it is absent."""
        value = self._value(name)
        if value is not None and not isinstance(value, bool):
            raise InvalidRequest(self.at(name), value, "write true or false")
        return bool(value)

    def whole(self, name: str, default: int | None, *, least: int = 0, most: int = COUNT_LIMIT) -> int:
        """A whole number within bounds."""
        value = self._value(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise InvalidRequest(self.at(name), value, f"write a whole number between {least} and {most}")
        return value

    def time_s(self, name: str, default: float | None) -> float:
        """A moment of the simulation."""
        return self.number(name, default, least=0, most=LONGEST_S)

    def resources(self, name: str, default: Resources | None = None) -> Resources:
        """Mesos' text form, or a mapping."""
        value = self._value(name)
        if value is None and default is not None:
            return default
        found = resources_of(value, self.at(name))
        if not Resources.of(found):
            raise InvalidRequest(self.at(name), value, "name at least one resource")
        return found

    def law(self, name: str) -> Law:
        """A number of seconds, or a law of chance."""
        value = self._value(name)
        if isinstance(value, Mapping):
            return _law(Fields(value, self.at(name)), self.at(name), value)
        self._content[name] = value
        return Constant(seconds=self.number(name, None, least=0.001, most=LONGEST_S))

    def items(self, name: str, *, least: int = 0) -> list[tuple[object, str]]:
        """The items of a list, each with its place."""
        value = self._value(name)
        if value is None and not least:
            return []
        if not isinstance(value, list) or not least <= len(value) <= COUNT_LIMIT:
            raise InvalidRequest(self.at(name), value, f"write a list of at least {least} items")
        return [(item, f"{self.at(name)}[{number}]") for number, item in enumerate(value)]


def _law(fields: Fields, place: str, value: object) -> Law:
    if fields.has("exponential"):
        mean_s = fields.number("exponential", None, least=0.001, most=LONGEST_S)
        fields.finish()
        return Exponential(mean_s=mean_s)
    if fields.has("uniform"):
        bounds = [_seconds(item, where) for item, where in fields.items("uniform", least=2)]
        fields.finish()
        if len(bounds) == 2 and bounds[0] <= bounds[1]:
            return Uniform(low_s=bounds[0], high_s=bounds[1])
    raise InvalidRequest(place, value, "write seconds, {exponential: mean} or {uniform: [from, to]}")


def _seconds(value: object, place: str) -> float:
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not 0.001 <= value <= LONGEST_S
        or math.isnan(value)
    ):
        raise InvalidRequest(place, value, f"write a number between 0.001 and {LONGEST_S:g}")
    return float(value)
