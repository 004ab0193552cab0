"""Two agents at once: on one state, on a copy of it, and a name that somebody else has taken."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from paddock.wire.v1 import containers_pb2, tasks_pb2
from tests.agentd_process import TIME_SCALE, AgentdProcess
from tests.kernel.agentd.calling import RUNNING, calling, shell

SLEEP = shell("exec sleep 1000")
pytestmark = pytest.mark.no_cgroups


def test_a_second_agent_on_the_same_state_says_so(agentd: AgentdProcess) -> None:
    arguments = [f"--state-dir={agentd.directory}/state", f"--listen=unix:{agentd.directory}/other.sock"]
    second = subprocess.run(
        [sys.executable, "-m", "agentd", *arguments],
        capture_output=True,
        text=True,
        timeout=30 * TIME_SCALE,
        check=False,
    )
    assert second.returncode == 2
    assert f"agentd with pid {agentd.pid} uses this state already" in second.stderr
    assert "Traceback" not in second.stderr


async def test_an_agent_on_a_copy_of_anothers_state_is_refused_before_it_does_anything(
    agentd: AgentdProcess, tmp_path: Path
) -> None:
    """It would end the first one's containers as orphans: they are in no log of its own."""
    shutil.copytree(agentd.directory / "state", tmp_path / "state", ignore=shutil.ignore_patterns("run", "lock"))
    async with calling(agentd.address) as agent:
        running = await agent.launch(SLEEP, until=RUNNING)
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agentd", f"--state-dir={tmp_path}/state", f"--work-dir={tmp_path}/work"),
            f"--listen=unix:{tmp_path}/other.sock",
            stderr=subprocess.PIPE,
        )
        _, stderr = await asyncio.wait_for(second.communicate(), 30 * TIME_SCALE)
        who = f"agentd with pid {agentd.pid} is agent {agentd.agent_id} on this host already"
        assert (second.returncode, stderr.decode()) == (
            2,
            f"{tmp_path}/state: {who}: this state is a copy of its; give another --state-dir, and the agent begins anew\n",
        )
        assert (await agent.get(running)).state == containers_pb2.CONTAINER_RUNNING
        await agent.kill(running, grace_ms=0)
        await agent.wait(running)


_SQUATTER = """
import os, socket, sys
os.setgid(65534), os.setuid(65534)
claims = socket.socket(socket.AF_UNIX)
claims.bind("\\0paddock-agent-" + sys.argv[1])
if sys.argv[2] == "full":
    claims.listen(0)
    asking = socket.socket(socket.AF_UNIX)
    asking.connect(claims.getsockname())
elif sys.argv[2] == "heard":
    claims.listen()
print("claimed", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["heard", "full", "deaf"])
async def test_another_users_claim_on_its_name_keeps_no_agent_from_its_start(agentd: AgentdProcess, how: str) -> None:
    agentd.stop()
    words = [sys.executable, "-I", "-S", "-c", _SQUATTER, agentd.agent_id, how]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as squatter:
        assert squatter.stdout is not None
        assert squatter.stdout.readline() == b"claimed\n"
        agentd.start()
        squatter.communicate()
    assert "another user has the agent's name" in agentd.log
    async with calling(agentd.address) as agent:
        assert (await agent.run("/bin/true")).termination.state == tasks_pb2.TASK_FINISHED
