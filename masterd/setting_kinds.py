"""How the texts of masterd's own kinds of settings become values: weights, roles, the least that is offered, hosts' lists."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from masterd import allocators
from masterd.allocator.interface import Minimum
from masterd.allocator.shares import WEIGHT_LIMIT_MILLI
from paddock.daemon.settings import DURATION_S, PATH, WORDS, Kind, Rejected, checked, optional
from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_role
from paddock.model.offer_terms import parse_minimum
from paddock.model.resource_text import format_scalar, parse_scalar_milli
from paddock.rpc.address import parse_address

_LEVELS = ("debug", "info", "warning", "error")
_NAME = re.compile(r"[^\s:;|,()\[\]{}]{1,255}")
_SHARE = re.compile(r"[01](?:\.[0-9]{1,9})?", re.ASCII)


def _check_addresses(words: tuple[str, ...]) -> None:
    addresses = [parse_address(word, "listen") for word in words]
    if not addresses:
        raise Rejected("give at least one address: unix:/path, host:port, or one of each")
    if sum(bool(address.unix_path) for address in addresses) > 1 or sum(bool(each.tcp) for each in addresses) > 1:
        raise Rejected("give at most one unix:/path and one host:port")


def parse_weights(words: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """`role=weight` words; weights in thousandths. Raises InvalidRequest naming the word."""
    weights: dict[str, int] = {}
    for word in words:
        role, equals, text = word.rpartition("=")
        if not equals or check_role(role, "weights") in weights:
            raise InvalidRequest("weights", word, "write role=weight, each role once")
        weights[role] = _weight_milli(text, word)
    return tuple(sorted(weights.items()))


def _weight_milli(text: str, word: str) -> int:
    remedy = f"a weight is a number between 0.001 and {WEIGHT_LIMIT_MILLI // 1000}"
    try:
        weight_milli = parse_scalar_milli("weight", text, "weights")
    except InvalidRequest:
        raise InvalidRequest("weights", word, remedy) from None
    if not 1 <= weight_milli <= WEIGHT_LIMIT_MILLI:
        raise InvalidRequest("weights", word, remedy)
    return weight_milli


def _check_weights(words: tuple[str, ...]) -> None:
    parse_weights(words)


def _check_positive(seconds: float) -> None:
    if seconds < 0.01:
        raise Rejected("write at least 10ms")


def _level(text: str) -> str:
    if text not in _LEVELS:
        raise Rejected(f"write {', '.join(_LEVELS)}")
    return text


def _allocator(text: str) -> str:
    problem = allocators.check_name(text)
    if problem is not None:
        raise Rejected(problem)
    return text


def _minimum(text: str) -> Minimum:
    return tuple(map(dict, parse_minimum(text, "min_allocatable_resources")))


def _show_minimum(minimum: Minimum) -> str:
    return "|".join(";".join(f"{name}:{format_scalar(milli)}" for name, milli in each.items()) for each in minimum)


def _check_resource_names(words: tuple[str, ...]) -> None:
    for word in words:
        if not _NAME.fullmatch(word):
            raise Rejected(f"{word!r}: write names of resources: gpus,ports")


def _check_roles(words: tuple[str, ...]) -> None:
    for word in words:
        check_role(word, "roles")


def _share(text: str) -> Fraction:
    if not _SHARE.fullmatch(text) or Decimal(text) > 1:
        raise Rejected("write a number from 0 to 1: 0.8")
    return Fraction(text)


def _list_path(text: str) -> str:
    return PATH.parse(text.removeprefix("file://"))


INTERVAL_S = checked(DURATION_S, _check_positive)
ADDRESSES = checked(WORDS, _check_addresses)
WEIGHTS = checked(WORDS, _check_weights)
ROLES = checked(WORDS, _check_roles)
RESOURCE_NAMES = checked(WORDS, _check_resource_names)
MINIMUM: Kind[Minimum] = Kind("NAME:N;…|…", _minimum, _show_minimum)
SHARE: Kind[Fraction] = Kind("0…1", _share, lambda share: str(float(share)))
LEVEL = Kind("LEVEL", _level)
ALLOCATOR = Kind("NAME", _allocator)
LIST_PATH = optional(Kind(PATH.placeholder, _list_path))
