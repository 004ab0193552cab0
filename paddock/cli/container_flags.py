"""What `paddock run` says of a container's powers, limits and labels, native or in an image; the limits `update` says too."""

from __future__ import annotations

import argparse
import re

from paddock.cli.quantities import count_or_none, environment_variables, size_or_none_bytes
from paddock.kernel.capabilities import NUMBERS
from paddock.model.capabilities import DEFAULT_BOUNDING
from paddock.model.errors import InvalidRequest
from paddock.model.resource_text import parse_scalar_milli
from paddock.model.task import RLIMIT_NAMES, LinuxInfo, ResourceLimits, Rlimit

_ALL = "ALL"
_NO_LIMIT = -1
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
_UNLIMITED = frozenset({"-1", "unlimited"})
_RLIMIT_PREFIX = "RLMT_"


def add_container_arguments(parser: argparse.ArgumentParser) -> None:
    """All are repeatable."""
    for flag, metavar, text in (
        ("--cap-add", "NAME", "one more of root's powers, where the agent allows it"),
        ("--cap-drop", "NAME", "one of root's powers less, or ALL"),
        ("--ulimit", "NAME=SOFT[:HARD]", "a limit of each process: nofile=1024:4096, core=0, memlock=unlimited"),
        ("--label", "NAME=VALUE", "a label of the task"),
    ):
        parser.add_argument(flag, metavar=metavar, action="append", default=[], help=f"{text} (repeatable)")


def linux_of(arguments: argparse.Namespace) -> LinuxInfo:
    """The bounding set: Docker's fourteen, less what is dropped, and what is added. Raises InvalidRequest naming the flag."""
    added = [_capability(text, "--cap-add") for text in arguments.cap_add]
    dropped = [_capability(text, "--cap-drop") for text in arguments.cap_drop if text != _ALL]
    if not arguments.cap_add and not arguments.cap_drop:
        return LinuxInfo()
    both = set(added) & set(dropped)
    if both:
        raise InvalidRequest("--cap-drop", min(both), "leave it out of --cap-add, or out of this")
    begun = () if _ALL in arguments.cap_drop else DEFAULT_BOUNDING
    bounding = tuple(dict.fromkeys(name for name in (*begun, *added) if name not in dropped))
    # An empty set is understood only when both are said.
    return LinuxInfo(bounding_capabilities=bounding, effective_capabilities=None if bounding else ())


def rlimits_of(arguments: argparse.Namespace) -> tuple[Rlimit, ...]:
    """In the order of the flags. Raises InvalidRequest naming the flag."""
    found: dict[str, Rlimit] = {}
    for text in arguments.ulimit:
        rlimit = _rlimit(text)
        if rlimit.resource in found:
            raise InvalidRequest("--ulimit", text, "give each name once")
        found[rlimit.resource] = rlimit
    return tuple(found.values())


def limits_of(arguments: argparse.Namespace) -> ResourceLimits:
    """None where no flag was given. Raises InvalidRequest naming the flag."""
    return ResourceLimits(
        cpus_milli=_cpus_limit_milli(arguments.cpus_limit) if arguments.cpus_limit else None,
        memory_bytes=size_or_none_bytes(arguments.mem_limit, "--mem-limit") if arguments.mem_limit else None,
        swap_bytes=size_or_none_bytes(arguments.swap, "--swap") if arguments.swap else None,
        pids_count=count_or_none(arguments.pids, "--pids") if arguments.pids else None,
    )


def _cpus_limit_milli(text: str) -> int:
    if text == "none":
        return _NO_LIMIT
    milli = parse_scalar_milli("cpus", text, "--cpus-limit")
    if milli == 0:
        raise InvalidRequest("--cpus-limit", text, "write more than nothing, or none")
    return milli


def labels_of(arguments: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    """Sorted. Raises InvalidRequest naming the flag."""
    return tuple(sorted(environment_variables(arguments.label, "--label")))


def _capability(text: str, flag: str) -> str:
    name = f"CAP_{text.upper().removeprefix('CAP_')}"
    # To drop what is mistyped would leave the task with what was meant.
    if name not in NUMBERS:
        raise InvalidRequest(flag, text, "name one as in capabilities(7): NET_RAW, CAP_NET_RAW")
    return name


def _rlimit(text: str) -> Rlimit:
    name, equals, limits = text.partition("=")
    resource = _RLIMIT_PREFIX + name.upper()
    if resource not in RLIMIT_NAMES:
        known = ", ".join(sorted(each.removeprefix(_RLIMIT_PREFIX).lower() for each in RLIMIT_NAMES))
        raise InvalidRequest("--ulimit", text, f"write NAME=SOFT[:HARD], with one of these names: {known}")
    soft, _, hard = limits.partition(":")
    if equals and soft in _UNLIMITED and hard in {*_UNLIMITED, ""}:
        return Rlimit(resource=resource)
    hard = hard or soft
    if not _NUMBER.fullmatch(soft) or not _NUMBER.fullmatch(hard) or int(soft) > int(hard):
        raise InvalidRequest("--ulimit", text, "write numbers, soft not above hard, or unlimited: nofile=1024:4096")
    return Rlimit(resource=resource, soft=int(soft), hard=int(hard))
