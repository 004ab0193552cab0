"""An isolator of another distribution in a whole agent: found by its entry point, asked at the barrier, cleaned up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolators.table import DEFAULT_ISOLATION
from paddock.wire.v1 import tasks_pb2
from tests.agentd_process import AgentdProcess, running_agentd
from tests.kernel.agentd.calling import calling, shell

# Who is asked, and when.
pytestmark = pytest.mark.no_cgroups

NICE = 7
MODULE = """
import os
from isolators.contract import Isolator
from paddock.model.launch_plan import LaunchPlan

class Politeness(Isolator):
    name = "acme/politeness"

    def prepare(self, container):
        self.refused = container.name == "refused"
        return LaunchPlan(environment=(("POLITE", "yes"),))

    def isolate(self, container_id, pid):
        if self.refused:
            raise OSError("no politeness left; ask Acme for more")
        with open(SEEN, "a") as seen:
            seen.write(f"isolate {container_id} {os.readlink(f'/proc/{pid}/exe')}\\n")
        os.setpriority(os.PRIO_PROCESS, pid, NICE)

    def cleanup(self, container_id):
        with open(SEEN, "a") as seen:
            seen.write(f"cleanup {container_id}\\n")
"""


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """Where the isolator writes down what it is asked."""
    return tmp_path / "seen"


@pytest.fixture
def agentd(tmp_path: Path, seen: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentdProcess]:
    """With the distribution beside its own, as pip would install it."""
    (tmp_path / "acme_isolators.py").write_text(f"SEEN, NICE = {str(seen)!r}, {NICE}\n{MODULE}")
    information = tmp_path / "acme-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[paddock.isolators]\nacme/politeness = acme_isolators:Politeness\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with running_agentd(f"--isolation={DEFAULT_ISOLATION},acme/politeness") as running:
        yield running


async def test_it_is_asked_at_the_barrier_before_the_command_runs(agentd: AgentdProcess, seen: Path) -> None:
    async with calling(agentd.address) as agent:
        ended = await agent.launch(shell("nice; echo $POLITE"))
        assert (await agent.read(ended, "stdout")).split() == [str(NICE).encode(), b"yes"]
        isolated, cleaned = seen.read_text().splitlines()
        # Not yet the command's own program: that comes when every isolator has had its turn.
        assert isolated.startswith(f"isolate {ended.container_id.value} ")
        assert os.path.basename(isolated.split()[-1]).startswith("python")
        assert cleaned == f"cleanup {ended.container_id.value}"


async def test_its_refusal_at_the_barrier_is_the_launch_s_failure_and_nothing_ran(
    agentd: AgentdProcess, seen: Path
) -> None:
    async with calling(agentd.address) as agent:
        ended = await agent.launch(shell("echo ran; touch ran"), name="refused")
        assert ended.termination.state == tasks_pb2.TASK_FAILED
        assert ended.termination.reason == tasks_pb2.REASON_CONTAINER_LAUNCH_FAILED
        assert ended.termination.message == "the launch stopped at isolate: no politeness left; ask Acme for more"
        assert not Path(ended.sandbox, "ran").exists()
        assert seen.read_text().split() == ["cleanup", ended.container_id.value]
        assert not agentd.wait_for_no_cgroups()
        # And the next one is served.
        assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
