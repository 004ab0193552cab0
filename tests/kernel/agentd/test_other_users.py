"""A caller that is not root runs tasks as itself, and sees, reads, resizes, enters and kills only those."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agentd_process import AgentdProcess
from tests.kernel.agentd.calling import RUNNING, calling, shell

# Who may call for what.
pytestmark = pytest.mark.no_cgroups

NOBODY = 65534
ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import asyncio, os, sys
from paddock.model.errors import PaddockError
from tests.kernel.agentd.calling import RUNNING, Caller, calling, shell
from paddock.rpc.errors import remote_errors
from paddock.wire.v1 import container_service_pb2, containers_pb2, tasks_pb2

async def refused(work):
    try:
        await work
    except PaddockError as error:
        print(type(error).__name__)
    else:
        print("allowed")

async def resize(agent, container, limits):
    request = container_service_pb2.UpdateContainerRequest(container_id=container.container_id, limits=limits)
    with remote_errors():
        await agent.containers.UpdateContainer(request)

async def main(address, foreign):
    theirs = containers_pb2.Container(container_id=containers_pb2.ContainerId(value=foreign))
    async with calling(address) as agent:
        ended = await agent.launch(shell("id -u"))
        print((await agent.read(ended, "stdout")).decode().strip())
        print(len(await agent.list(include_terminated=True)))
        await refused(agent.get(theirs))
        await refused(agent.kill(theirs))
        limits = tasks_pb2.ResourceLimits(pids_count=1)
        await refused(resize(agent, theirs, limits))
        await refused(agent.read(theirs, "stdout"))
        await refused(agent.enter(theirs, shell("true")))
        await refused(agent.launch(tasks_pb2.CommandInfo(arguments=["/bin/true"], user="root")))

# Once all is imported: this tree may stand where the other user may not go.
os.setgroups([])
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
asyncio.run(main(*sys.argv[2:]))
"""


async def test_nobody_reaches_roots_containers(shared_agentd: AgentdProcess) -> None:
    for name in ("agentd.sock", "agentd.sock.id"):
        (shared_agentd.directory / name).chmod(0o666)  # as the group paddock would have it
    async with calling(shared_agentd.address) as agent:
        running = await agent.launch(shell("exec sleep 1000"), until=RUNNING)
        called = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", SCRIPT, str(NOBODY), shared_agentd.address, running.container_id.value],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        await agent.kill(running, grace_ms=0)
        await agent.wait(running)
    assert called.stdout.split() == [str(NOBODY), "1", *["PermissionRefused"] * 6], called.stderr
