"""The template may die at any moment, and costs a moment; so does a host on which no other can be started yet."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.kernel.call_numbers import NUMBERS
from tests.children import children_of
from tests.kernel.launch.running import Agent, Json, agent, is_running, wait_for
from tests.kernel.launch.tracing import attach, detach, go_on_to_the_end_of

pytestmark = pytest.mark.no_cgroups
NO_NAMESPACES: Json = {"namespaces": [], "mounts": []}


@pytest.fixture
def without_pool() -> Iterator[Agent]:
    """Each launch needs the template: nothing waits."""
    with agent(flags=("--pool-size=0",)) as running:
        yield running


def named(own: Agent, name: str) -> list[int]:
    """The launcher's children of this name that run."""
    found = []
    for pid in children_of(own.process.pid):
        with contextlib.suppress(OSError):  # it has ended since
            if Path(f"/proc/{pid}/comm").read_text().strip() == name and is_running(pid):
                found.append(pid)
    return found


def template_of(own: Agent) -> int:
    wait_for(lambda: bool(named(own, "paddock-templat")), "no template")
    (pid,) = named(own, "paddock-templat")
    return pid


def test_where_no_template_can_be_started_the_next_launch_tries_again(without_pool: Agent) -> None:
    own = without_pool
    assert own.run(["true"], **NO_NAMESPACES).record()["wait_status"] == 0
    template = template_of(own)
    roots = own.machine.roots(own.agent_id)
    cgroup = Path(roots.get("pids") or roots[""], "launcher")
    cgroup.mkdir(exist_ok=True)
    (cgroup / "cgroup.procs").write_text(str(own.process.pid))
    (cgroup / "pids.max").write_text("1")
    os.kill(template, signal.SIGKILL)
    wait_for(lambda: not is_running(template), "it stays")
    for _ in range(2):
        failed = own.launch(["true"], **NO_NAMESPACES).failed()
        assert (failed["stage"], failed["errno"]) == ("launcher", 11)
    (cgroup / "pids.max").write_text("max")
    assert own.run(["true"], **NO_NAMESPACES).record()["wait_status"] == 0


def test_a_shim_of_which_its_template_could_not_tell_any_more_ends(without_pool: Agent) -> None:
    """Else it would wait where another waits, and take orders that are written down as that one's."""
    own = without_pool
    template = template_of(own)
    before = set(children_of(own.process.pid))
    attach(template)
    shim = own.launch(["sleep", "1000"], **NO_NAMESPACES)
    go_on_to_the_end_of(template, NUMBERS["clone3"])
    os.kill(template, signal.SIGKILL)
    detach(template)
    shim_pid = shim.started()["shim_pid"]
    assert shim_pid not in before
    wait_for(lambda: named(own, "paddock-shim") == [shim_pid], "two shims wait for one's orders")
    assert own.log().count("event=template-lost") == 1
    shim.ask("kill", grace_ms=0)
    shim.record()


def test_a_launcher_that_dies_meanwhile_ends_both_in_silence(without_pool: Agent) -> None:
    own = without_pool
    template = template_of(own)
    attach(template)
    own.launch(["true"], **NO_NAMESPACES)
    wait_for(lambda: len(children_of(own.process.pid)) == 2, "no init is made")
    before = children_of(own.process.pid)
    go_on_to_the_end_of(template, NUMBERS["clone3"])
    (shim,) = children_of(own.process.pid) - before
    own.kill_launcher()
    detach(template)
    wait_for(lambda: not is_running(template), "it stays")
    wait_for(lambda: not is_running(shim), "its shim stays")
    assert "child-failed" not in own.log()
    own.start()
