"""What a user other than root could gain by a container: capabilities, privileges, limits, groups."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.wire.v1 import tasks_pb2
from tests.agentd_process import TIME_SCALE, AgentdProcess, running_agentd
from tests.kernel.agentd.calling import Caller, shell

# Capabilities, users and limits of a process.
pytestmark = pytest.mark.no_cgroups

ROOT = str(Path(__file__).resolve().parents[3])
STRANGER_UID = 12345
STRANGER_GID = 23456
ABOVE = resource.getrlimit(resource.RLIMIT_NOFILE)[1] + 1

_AS_STRANGER = """
import asyncio, os, sys
from google.protobuf.text_format import Parse
from paddock.model.errors import PaddockError
from paddock.wire.v1 import tasks_pb2
from tests.kernel.agentd.calling import calling, shell

async def call(address, container, line):
    async with calling(address) as agent:
        try:
            ended = await agent.launch(shell(line), container=Parse(container, tasks_pb2.ContainerInfo()))
        except PaddockError as error:
            print(type(error).__name__, error)
        else:
            print((await agent.read(ended, "stdout")).decode() or ended.termination.message)

os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
asyncio.run(call(*sys.argv[3:]))
"""


async def launch_as_stranger(agentd: AgentdProcess, line: str, *, container: str = "") -> str:
    """What the container wrote, else why it ended, or what the call was refused with.

    `container`: a ContainerInfo as protobuf's text.
    """
    for name in ("agentd.sock", "agentd.sock.id"):
        (agentd.directory / name).chmod(0o666)
    arguments = (str(STRANGER_UID), str(STRANGER_GID), agentd.address, container, line)
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
        answer = await launch_as_stranger(
            shared_agentd, "head -c 4 /etc/shadow", container=f"linux {{ effective_capabilities: '{asked}' }}"
        )
        assert answer.startswith("PermissionRefused"), answer
        assert asked in answer


async def test_a_user_cannot_have_privileges_back_nor_raise_its_limits(shared_agentd: AgentdProcess) -> None:
    gain = await launch_as_stranger(shared_agentd, "true", container="linux { no_new_privileges: false }")
    assert gain.startswith("PermissionRefused"), gain
    assert "--allow-new-privileges=true" in gain
    realtime = "rlimits { resource: 'RLMT_RTPRIO' soft: 99 hard: 99 }"
    raised = await launch_as_stranger(shared_agentd, "ulimit -Hr", container=realtime)
    assert raised.startswith("PermissionRefused"), raised
    assert "--allowed-rlimits=RLMT_RTPRIO=99" in raised
    lowered = "rlimits { resource: 'RLMT_NOFILE' soft: 64 hard: 64 }"
    assert await launch_as_stranger(shared_agentd, "ulimit -Hn", container=lowered) == "64"


@pytest.fixture
def generous_agentd() -> Iterator[AgentdProcess]:
    with running_agentd("--allow-new-privileges=true", f"--allowed-rlimits=RLMT_NOFILE={ABOVE}") as agentd:
        yield agentd


async def test_the_operator_allows_what_a_user_may_ask_for(generous_agentd: AgentdProcess) -> None:
    gain = "linux { no_new_privileges: false }"
    printed = await launch_as_stranger(generous_agentd, "grep NoNewPrivs /proc/self/status", container=gain)
    assert printed.split() == ["NoNewPrivs:", "0"]
    # Allowed by us is not yet allowed by the kernel: where the agent lacks CAP_SYS_RESOURCE, that is said.
    raised = f"rlimits {{ resource: 'RLMT_NOFILE' soft: {ABOVE} hard: {ABOVE} }}"
    printed = await launch_as_stranger(generous_agentd, "ulimit -Hn", container=raised)
    assert printed == str(ABOVE) or "setrlimit RLMT_NOFILE" in printed


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
