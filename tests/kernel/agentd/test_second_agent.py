"""Two agents at once: on one state, on a copy of it, and a name that somebody else has taken."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.lock import IdentityLock
from paddock.model.errors import ConfigError
from paddock.model.ids import AgentId
from paddock.wire.v1 import containers_pb2
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
    # What is being written just now may have another name when it is copied.
    passing = shutil.ignore_patterns("run", "lock", "*.new")
    shutil.copytree(agentd.directory / "state", tmp_path / "state", ignore=passing)
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


def test_who_comes_when_the_first_one_goes_has_a_lock_that_a_third_one_meets(tmp_path: Path) -> None:
    """It may have opened the file that the first one takes away."""
    agent_id = AgentId("test-locks")
    first, second, third = (IdentityLock(agent_id, str(tmp_path)) for _ in range(3))
    first.take()
    path = Path(f"/run/paddock-agent-{agent_id}.lock")
    assert (path.stat().st_mode & 0o777, path.read_text()) == (0o600, f"{os.getpid()}\n")
    opened = os.open(path, os.O_RDWR)
    first.release()
    assert not path.exists()
    with pytest.MonkeyPatch.context() as late:

        def open_before(*_: object) -> int:
            late.undo()
            return opened

        late.setattr(os, "open", open_before)
        second.take()
    with pytest.raises(ConfigError, match=rf"agentd with pid {os.getpid()} is agent {agent_id} on this host already"):
        third.take()
    second.release()
    assert not path.exists()


def test_a_lock_whose_file_was_removed_takes_nobody_elses_away(tmp_path: Path) -> None:
    agent_id = AgentId("test-locks")
    path = Path(f"/run/paddock-agent-{agent_id}.lock")
    first, second, third = (IdentityLock(agent_id, str(tmp_path)) for _ in range(3))
    first.take()
    path.unlink()
    second.take()
    first.release()
    with pytest.raises(ConfigError, match="on this host already"):
        third.take()
    path.unlink()
    second.release()


def test_no_link_in_the_locks_place_is_followed(tmp_path: Path) -> None:
    path = Path("/run/paddock-agent-test-locks.lock")
    path.symlink_to(tmp_path / "elsewhere")
    try:
        with pytest.raises(ConfigError, match="paddock-agent-test-locks.lock: Too many levels"):
            IdentityLock(AgentId("test-locks"), str(tmp_path)).take()
    finally:
        path.unlink()
    assert not (tmp_path / "elsewhere").exists()
