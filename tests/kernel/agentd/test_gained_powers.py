"""What a user other than root could gain by a container: capabilities, groups."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from paddock.wire.v1 import tasks_pb2
from tests.agentd_process import TIME_SCALE, AgentdProcess
from tests.kernel.agentd.calling import Caller, shell

ROOT = str(Path(__file__).resolve().parents[3])
STRANGER_UID = 12345
STRANGER_GID = 23456

_AS_STRANGER = """
import asyncio, os, sys
from paddock.model.errors import PaddockError
from paddock.wire.v1 import tasks_pb2
from tests.kernel.agentd.calling import calling, shell

async def call(address, effective, line):
    async with calling(address) as agent:
        linux = tasks_pb2.LinuxInfo(effective_capabilities=[effective] if effective else [])
        try:
            ended = await agent.launch(shell(line), container=tasks_pb2.ContainerInfo(linux=linux))
        except PaddockError as error:
            print(type(error).__name__, error)
        else:
            print((await agent.read(ended, "stdout")).decode())

os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
asyncio.run(call(*sys.argv[3:]))
"""


async def launch_as_stranger(agentd: AgentdProcess, line: str, *, effective: str = "") -> str:
    """What the container wrote, or what the call was refused with."""
    for name in ("agentd.sock", "agentd.sock.id"):
        (agentd.directory / name).chmod(0o666)
    arguments = (str(STRANGER_UID), str(STRANGER_GID), agentd.address, effective, line)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _AS_STRANGER,
        *arguments,
        cwd="/",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 30 * TIME_SCALE)
    return printed.decode().strip()


async def test_a_user_cannot_become_root_by_asking_for_capabilities(shared_agentd: AgentdProcess) -> None:
    for asked in ("CAP_DAC_OVERRIDE", "CAP_SETUID"):
        answer = await launch_as_stranger(shared_agentd, "head -c 4 /etc/shadow", effective=asked)
        assert answer.startswith("PermissionRefused"), answer
        assert asked in answer


async def test_root_may_give_capabilities_to_a_user(agent: Caller) -> None:
    command = shell("grep CapEff /proc/self/status")
    command.user = "nobody"
    linux = tasks_pb2.LinuxInfo(effective_capabilities=["CAP_NET_BIND_SERVICE"])
    ended = await agent.launch(command, container=tasks_pb2.ContainerInfo(linux=linux))
    assert (await agent.read(ended, "stdout")).split() == [b"CapEff:", b"%016x" % (1 << 10)]


async def test_a_uid_without_a_name_is_in_no_group_of_the_host(shared_agentd: AgentdProcess) -> None:
    """Its number is a uid's: as a gid it may be the disk's, or of those who may talk to a daemon of root's."""
    answer = await launch_as_stranger(shared_agentd, "id -u; id -G")
    assert answer.split() == [str(STRANGER_UID), "65534"]
