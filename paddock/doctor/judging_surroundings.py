"""Whether what an agent stands upon will do: decided from what was read, nothing else. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from paddock.doctor.clocks import RemoteClock
from paddock.doctor.finding import Finding, Verdict
from paddock.doctor.surroundings import Reached, Surroundings

LEAST_KERNEL = (5, 11)
NEEDED = ("cpu", "memory", "pids")
MOST_SKEW_S = 2.0
"""Hosts whose clocks are kept are some thousandths of a second apart; times are shown to people in seconds."""

_LONG_SLEEP_S = 60.0


def judge_surroundings(found: Surroundings) -> Iterator[Finding]:
    """The host first, then whom it must reach."""
    yield _kernel(found)
    yield _cgroups(found)
    for root, controllers in found.cgroup_roots:
        yield _delegated(root, controllers)
    yield _swap(found)
    yield _clock(found)
    yield from (of_reached(each) for each in found.reached)


def _kernel(found: Surroundings) -> Finding:
    number = re.match(r"(\d+)\.(\d+)", found.kernel_release)
    if number and (int(number[1]), int(number[2])) >= LEAST_KERNEL:
        return _finding("kernel", found.kernel_release, Verdict.FINE, "it has all that launches need")
    why = "older than 5.11: it cannot join namespaces by a pidfd, nor mark descriptors to be closed"
    return _finding("kernel", found.kernel_release, Verdict.WRONG, why, "boot Linux 5.11 or newer")


def _cgroups(found: Surroundings) -> Finding:
    name = f"cgroup {found.cgroup_mode}"
    missing = [each for each in NEEDED if each not in found.controllers]
    if not missing:
        return _finding("cgroups", name, Verdict.FINE, f"controllers: {', '.join(found.controllers)}")
    why = f"the kernel gives no controller {', '.join(missing)}: tasks cannot be limited in it"
    remedy = "mount it, or boot with cgroup_enable=memory where it is memory that is missing; /proc/cgroups lists all"
    return _finding("cgroups", name, Verdict.WRONG, why, remedy)


def _delegated(root: str, controllers: tuple[str, ...]) -> Finding:
    missing = [each for each in NEEDED if each not in controllers]
    if not missing:
        return _finding("cgroups", root, Verdict.FINE, f"delegated: {', '.join(controllers)}")
    why = f"the agent's own directory was not given {', '.join(missing)}"
    remedy = "under systemd the scope needs Delegate=yes; else write +cpu +memory +pids to its parent's cgroup.subtree_control"
    return _finding("cgroups", root, Verdict.WRONG, why, remedy)


def _swap(found: Surroundings) -> Finding:
    if found.has_swap and not found.has_swap_accounting:
        why = "there is swap, and the kernel does not count it: tasks are not limited in it"
        return _finding("swap", "memory.memsw", Verdict.WRONG, why, "boot with swapaccount=1, or switch swap off")
    return _finding("swap", "memory.memsw", Verdict.FINE, "counted" if found.has_swap else "there is none")


def _clock(found: Surroundings) -> Finding:
    slept = f"; the host has slept for {found.suspended_s:.0f} s" if found.suspended_s >= _LONG_SLEEP_S else ""
    if found.is_clock_synchronised:
        return _finding("clock", "wall clock", Verdict.FINE, f"kept in time{slept}")
    why = f"nobody keeps it in time: durations are right all the same, times in records may not be{slept}"
    return _finding("clock", "wall clock", Verdict.WAITS, why, "run chrony or systemd-timesyncd")


def of_reached(each: Reached) -> Finding:
    """What to do differs: nobody there, or the way is closed."""
    if not each.problem:
        return _finding(each.what, each.address, Verdict.FINE, "somebody listens")
    remedy = (
        f"is that {each.what} up, and its port open from this host? `listen` of its own configuration says where it is"
    )
    return _finding(each.what, each.address, Verdict.WRONG, f"it cannot be reached: {each.problem}", remedy)


def of_clock(each: RemoteClock) -> Finding:
    """Nothing goes wrong by it but what people and leases read."""
    name = f"{each.what} {each.address}"
    apart_s = abs(each.ahead_s)
    if apart_s - each.uncertain_s < MOST_SKEW_S:
        return _finding("clock", name, Verdict.FINE, "it is the time of this host")
    why = (
        f"its clock is {apart_s:.0f} s {'ahead of' if each.ahead_s > 0 else 'behind'} this host's: time-outs are right all the "
        "same; times of statuses, leases and maintenance windows are not"
    )
    remedy = "run chrony or systemd-timesyncd on both hosts; `date` on each says which of them is wrong"
    return _finding("clock", name, Verdict.WRONG, why, remedy)


def _finding(kind: str, name: str, verdict: Verdict, why: str, remedy: str = "") -> Finding:
    return Finding(agent_id="", kind=kind, name=name, verdict=verdict, why=why, remedy=remedy)
