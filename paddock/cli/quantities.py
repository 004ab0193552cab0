"""What people write on the command line: durations, sizes in bytes, signals, NAME=VALUE; each refused by its flag's name."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence

from paddock.model.errors import InvalidRequest
from paddock.model.resource_text import format_scalar, named_in, parse_resources, parse_scalar_milli
from paddock.model.resources import Scalar

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)?", re.ASCII)
_MS_PER_UNIT = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LIMIT_MS = 10 * 365 * 86_400_000
_LARGEST_WEIGHT_MILLI = 1_000_000_000
_BYTES_PER_MIB = 1 << 20
_SIZE = re.compile(r"(\d{1,12})(KiB|MiB|GiB|TiB)?", re.ASCII)
_BYTES_PER_UNIT = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def duration_ms(text: str, flag: str) -> int:
    """`500ms`, `2.5`, `30s`, `5m`, `2h`, `1d`; a bare number is seconds. Up to ten years."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidRequest(flag, text, "write a duration as 500ms, 30s, 5m, 2h or 1d")
    number, unit = match.groups()
    milliseconds = round(float(number) * _MS_PER_UNIT[unit or "s"])
    if milliseconds > _LIMIT_MS:
        raise InvalidRequest(flag, text, "the longest duration is ten years")
    return milliseconds


def size_bytes(text: str, flag: str) -> int:
    """`64MiB`, `2GiB`; a bare number is MiB, as for the resources."""
    return parse_scalar_milli("mem", text, flag) * _BYTES_PER_MIB // 1000


def size_or_none_bytes(text: str, flag: str) -> int:
    """As size_bytes; `none` is -1, no limit."""
    return -1 if text == "none" else size_bytes(text, flag)


def exact_bytes(text: str, flag: str) -> int:
    """As size_bytes, without its rounding to thousandths of a MiB."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidRequest(flag, text, "write a size as 64KiB, 10MiB or 1GiB")
    return int(match[1]) * _BYTES_PER_UNIT[match[2] or "MiB"]


def count_or_none(text: str, flag: str) -> int:
    """A positive number; `none` is -1, no limit."""
    if text == "none":
        return -1
    if not (text.isascii() and text.isdigit()) or not 1 <= len(text) <= 9 or int(text) == 0:
        raise InvalidRequest(flag, text, "write a number from 1 to 999999999, or none")
    return int(text)


def amounts(text: str, flag: str) -> dict[str, int]:
    """`cpus:4;mem:8GiB` in thousandths by name; zeros are said too. `none`: nothing at all."""
    if text == "none":
        return {}
    found = dict.fromkeys(sorted(named_in(text)), 0)
    for resource in parse_resources(text, flag):
        if not isinstance(resource.value, Scalar) or resource.reservations:
            raise InvalidRequest(flag, text, "write plain amounts, such as cpus:4;mem:8GiB, or none")
        found[resource.name] = resource.value.milli
    if not found:
        raise InvalidRequest(flag, text, "write amounts, such as cpus:4;mem:8GiB, or none")
    return found


def amounts_text(amounts_milli: Mapping[str, int]) -> str:
    """What `amounts` reads."""
    return ";".join(f"{name}:{format_scalar(milli)}" for name, milli in sorted(amounts_milli.items()))


def counted(count: int, noun: str) -> str:
    """`1 task`, `2 tasks`, `0 tasks`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def weight_milli(text: str, word: str) -> int:
    """A weight in thousandths."""
    try:
        milli = parse_scalar_milli("weight", text, word)
    except InvalidRequest:
        milli = 0
    if not 1 <= milli <= _LARGEST_WEIGHT_MILLI:
        raise InvalidRequest("ROLE=WEIGHT", word, "a weight is a number from 0.001 to 1000000, such as 2.5")
    return milli


def signal_number(text: str, flag: str) -> int:
    """`TERM`, `SIGTERM` or `15`."""
    name = text.upper()
    if text.isascii() and text.isdigit() and 1 <= len(text) <= 2 and 1 <= int(text) <= 64:
        return int(text)
    for known in signal.Signals:
        if known.name in {name, f"SIG{name}"}:
            return int(known)
    raise InvalidRequest(flag, text, "write a signal's name or number, such as TERM, SIGINT or 9")


def signal_name(number: int) -> str:
    """`SIGTERM`; the number where there is no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def environment_variables(texts: Sequence[str], flag: str) -> tuple[tuple[str, str], ...]:
    """`NAME=VALUE` of a repeatable flag, in its order, each name once."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or "\0" in text:
            raise InvalidRequest(flag, text, "write NAME=VALUE")
        if name in found:
            raise InvalidRequest(flag, name, "give each name once")
        found[name] = value
    return tuple(found.items())
