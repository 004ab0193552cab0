"""What an agent stands upon, as it is read: kernel, cgroup controllers, clock, the way to its masters."""

from __future__ import annotations

import ctypes
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

from paddock.kernel.mounts import read_hierarchy
from paddock.rpc.address import parse_address

CONNECT_TIMEOUT_S = 2.0
_TIMEX_BYTES = 208
_TIME_ERROR = 5
"""What adjtimex answers when nobody keeps the clock in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """One address that was dialled. `problem`: empty when somebody listens. `what`: master or agent."""

    what: str
    address: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """`cgroup_roots`: of cgroup v2, each agent's directory with the controllers that it was given."""

    kernel_release: str
    cgroup_mode: str
    controllers: tuple[str, ...]
    cgroup_roots: tuple[tuple[str, tuple[str, ...]], ...]
    has_swap_accounting: bool
    has_swap: bool
    is_clock_synchronised: bool
    suspended_s: float
    reached: tuple[Reached, ...]


def read_surroundings(roots: Iterable[str], masters: Iterable[str]) -> Surroundings:
    """`roots`: the agents' own cgroup directories. Waits at most CONNECT_TIMEOUT_S for each master."""
    hierarchy = read_hierarchy()
    is_v2 = hierarchy.mode == "v2"
    memory = hierarchy.controllers.get("memory", "")
    return Surroundings(
        kernel_release=os.uname().release,
        cgroup_mode=hierarchy.mode,
        controllers=tuple(sorted(hierarchy.unified_controllers if is_v2 else hierarchy.controllers)),
        cgroup_roots=tuple((root, tuple(_text(f"{root}/cgroup.controllers").split())) for root in roots if is_v2),
        has_swap_accounting=is_v2 or os.path.exists(f"{memory}/memory.memsw.limit_in_bytes"),
        has_swap=len(_text("/proc/swaps").splitlines()) > 1,
        is_clock_synchronised=ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) != _TIME_ERROR,
        suspended_s=max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)),
        reached=tuple(reach("master", address) for address in masters),
    )


def reach(what: str, address: str) -> Reached:
    """Whether somebody listens there."""
    parsed = parse_address(address, what)
    try:
        if parsed.unix_path:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(CONNECT_TIMEOUT_S)
                client.connect(parsed.unix_path)
        else:
            host, _, port = parsed.tcp.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except TimeoutError:
        return Reached(what=what, address=address, problem=f"no answer within {CONNECT_TIMEOUT_S:.0f} s")
    except OSError as error:
        return Reached(what=what, address=address, problem=error.strerror or str(error))
    return Reached(what=what, address=address, problem="")


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""
