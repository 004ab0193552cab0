"""A command that stands in for processes which somebody else puts below its container's cgroups: an engine does that."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paddock.launch.container import STAND_IN_PATIENCE_NS
from tests.kernel.launch.running import Agent, Shim, wait_for


@contextmanager
def engine_process(shim: Shim) -> Iterator[subprocess.Popen[bytes]]:
    """In a cgroup below the container's in each hierarchy, as an engine's would be. It ignores SIGTERM.

    And forks nothing: in what is being killed nobody may, and a shell that cannot ends by itself.
    """
    files = []
    for directory in set(shim.plan["cgroup"]["directories"].values()):
        (Path(directory) / "engine").mkdir()
        files.append(f"{directory}/engine/cgroup.procs")
    enter = "".join(f"echo 0 > {file}; " for file in files)
    process = subprocess.Popen(["sh", "-c", f"{enter} trap '' TERM; exec sleep 1000"])
    try:
        wait_for(lambda: Path(files[-1]).read_text().strip() != "", "it is not in")
        yield process
    finally:
        process.kill()
        process.wait()


def launch(agent: Agent, script: str, **changes: Any) -> Shim:
    shim = agent.launch(["sh", "-c", script], namespaces=[], mounts=[], stand_in=True, **changes)
    wait_for(lambda: shim.stdout().startswith(b"ready"), "not ready")
    return shim


def test_it_is_in_none_of_the_cgroups_and_they_have_the_limits(shared: Agent) -> None:
    shim = launch(shared, "echo ready; while ! test -e go; do sleep 0.01; done; exit 42")
    pid = shim.started()["pid"]
    own = Path(f"/proc/{pid}/cgroup").read_text()
    assert f"/{shim.plan['container_id']}" not in own
    assert (shim.directory("pids") / "pids.max").read_text().strip() == "100"
    (Path(shim.plan["sandbox"]) / "go").touch()
    record = shim.record()
    assert os.waitstatus_to_exitcode(record["wait_status"]) == 42
    assert shim.cgroups() == []


def test_when_everything_is_killed_it_may_still_tell_how_they_ended(shared: Agent) -> None:
    """The shim gives the engine's processes SIGKILL, and their stand-in the time to see it."""
    shim = launch(shared, "trap 'asked=1' TERM; echo ready; while ! test -e ended; do sleep 0.02; done; exit ${asked}7")
    with engine_process(shim) as process:
        shim.ask("kill", grace_ms=200)
        assert process.wait() == -signal.SIGKILL
        (Path(shim.plan["sandbox"]) / "ended").touch()
        record = shim.record()
    assert os.waitstatus_to_exitcode(record["wait_status"]) == 17
    assert record["kill"]["escalated"]
    assert shim.cgroups() == []


def test_where_there_is_nothing_yet_to_be_killed_it_ends_by_itself_at_once(shared: Agent) -> None:
    """It waits for the engine's part, which will not come."""
    shim = launch(shared, "trap 'exit 3' TERM; echo ready; while true; do sleep 0.02; done")
    shim.ask("kill", signal=signal.SIGKILL, grace_ms=0)
    record = shim.record()
    assert os.waitstatus_to_exitcode(record["wait_status"]) == 3
    assert record["kill"]["took_ms"] < STAND_IN_PATIENCE_NS / 1e6
    assert shim.cgroups() == []


def test_what_is_left_below_ends_with_its_stand_in(shared: Agent) -> None:
    shim = launch(shared, "echo ready; while ! test -e go; do sleep 0.01; done")
    with engine_process(shim) as process:
        (Path(shim.plan["sandbox"]) / "go").touch()
        assert process.wait() == -signal.SIGKILL
    assert os.waitstatus_to_exitcode(shim.record()["wait_status"]) == 0
    assert shim.cgroups() == []


def test_a_shim_that_dies_takes_those_below_along(own: Agent) -> None:
    shim = launch(own, "echo ready; while true; do sleep 0.05; echo alive || exit 1; done")
    with engine_process(shim) as process:
        os.kill(shim.started()["shim_pid"], signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert shim.wait_record_file()["supervisor_lost"]
    wait_for(lambda: shim.cgroups() == [], "cgroups stay")
