"""What is said of kernel, cgroups, clock and the way to master and agents."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from paddock.doctor.finding import Finding, Verdict
from paddock.doctor.judging_surroundings import judge_surroundings
from paddock.doctor.surroundings import Reached, Surroundings, reach, read_surroundings

GOOD = Surroundings(
    kernel_release="5.11.0",
    cgroup_mode="v2",
    controllers=("cpu", "io", "memory", "pids"),
    cgroup_roots=(("/sys/fs/cgroup/paddock-a", ("cpu", "memory", "pids")),),
    has_swap_accounting=True,
    has_swap=True,
    is_clock_synchronised=True,
    suspended_s=0.0,
    reached=(Reached(what="master", address="10.0.0.1:5050", problem=""),),
)


def of_kind(found: Surroundings, kind: str) -> list[Finding]:
    return [each for each in judge_surroundings(found) if each.kind == kind]


def test_what_is_in_order_is_fine_and_needs_nothing() -> None:
    found = list(judge_surroundings(GOOD))
    assert {each.verdict for each in found} == {Verdict.FINE}
    assert {each.kind for each in found} == {"kernel", "cgroups", "swap", "clock", "master"}
    assert not any(each.remedy for each in found)


@pytest.mark.parametrize(
    ("found", "kind", "said", "remedy"),
    [
        (replace(GOOD, kernel_release="5.10.19-arch"), "kernel", "older than 5.11", "5.11 or newer"),
        (replace(GOOD, kernel_release="unknown"), "kernel", "older than 5.11", "5.11 or newer"),
        (replace(GOOD, controllers=("cpu", "pids")), "cgroups", "no controller memory", "cgroup_enable=memory"),
        (replace(GOOD, cgroup_roots=(("/r", ("cpu",)),)), "cgroups", "not given memory, pids", "Delegate=yes"),
        (replace(GOOD, has_swap_accounting=False), "swap", "not limited in it", "swapaccount=1"),
        (
            replace(GOOD, reached=(Reached(what="agent", address="h:1", problem="Connection refused"),)),
            "agent",
            "Connection refused",
            "`listen`",
        ),
    ],
)
def test_what_is_not_says_what_to_do(found: Surroundings, kind: str, said: str, remedy: str) -> None:
    wrong = [each for each in of_kind(found, kind) if each.verdict is Verdict.WRONG]
    assert len(wrong) == 1
    assert said in wrong[0].why
    assert remedy in wrong[0].remedy


def test_a_clock_that_nobody_keeps_is_told_and_stops_nobody() -> None:
    (clock,) = of_kind(replace(GOOD, is_clock_synchronised=False, suspended_s=3_600.0), "clock")
    assert clock.verdict is Verdict.WAITS
    assert "slept for 3600 s" in clock.why
    assert "chrony" in clock.remedy


def test_no_swap_needs_no_accounting() -> None:
    (swap,) = of_kind(replace(GOOD, has_swap_accounting=False, has_swap=False), "swap")
    assert swap.verdict is Verdict.FINE


def test_who_listens_is_reached_and_who_does_not_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    assert reach("master", f"unix:{path}").problem == "No such file or directory"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert reach("master", f"unix:{path}").problem == ""
    assert reach("master", f"unix:{path}").problem == "Connection refused"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert reach("agent", f"127.0.0.1:{port}").problem == ""
    assert reach("agent", f"127.0.0.1:{port}").problem == "Connection refused"


def test_this_host_is_read() -> None:
    found = read_surroundings(["/nonexistent"], ["unix:/nonexistent/masterd.sock"])
    assert found.kernel_release == os.uname().release
    assert {"cpu", "memory", "pids"} <= set(found.controllers)
    assert found.suspended_s >= 0
    assert found.reached[0].problem == "No such file or directory"
