"""Two users at one daemon: the kernel says who is who, and only root and the group come in (root needed)."""

from __future__ import annotations

import asyncio
import grp
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.rpc.serving import serving

# Sockets and users.
pytestmark = pytest.mark.no_cgroups

ROOT = str(Path(__file__).resolve().parents[3])
TIME_SCALE = float(os.environ.get("PADDOCK_TEST_TIME_SCALE", "1"))

_ASK = """
import asyncio, os, sys
from paddock.rpc.channel import open_channel
from paddock.rpc.errors import remote_errors
from paddock.wire.v1.operator_service_pb2 import GetMasterRequest
from paddock.wire.v1.operator_service_pb2_grpc import OperatorServiceStub

async def ask():
    async with open_channel("unix:" + sys.argv[1]) as channel:
        try:
            with remote_errors():
                print((await OperatorServiceStub(channel).GetMaster(GetMasterRequest())).master_id)
        except Exception as error:
            print(type(error).__name__, error)

os.setgroups([int(group) for group in sys.argv[3].split(",") if group])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
asyncio.run(ask())
"""

_STEAL = """
import json, os, socket, sys
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as identity:
    identity.connect(sys.argv[1] + ".id")
    print(json.loads(identity.makefile().readline())["token"])
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    # pytest's own directories are closed to other users.
    with tempfile.TemporaryDirectory(prefix="paddock-identity-") as path:
        os.chmod(path, 0o755)
        yield Path(path)


async def run(program: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *arguments,
        cwd="/",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 30 * TIME_SCALE)
    return printed.decode().strip()


async def test_each_caller_is_known_by_the_uid_that_it_really_has(directory: Path) -> None:
    async with serving(directory):
        path = directory / "d.sock"
        for name in ("d.sock", "d.sock.id"):
            os.chown(directory / name, 0, 4711)
        assert await run(_ASK, str(path), "0", "") == "uid:0"
        assert await run(_ASK, str(path), "1234", "4711") == "uid:1234"
        assert await run(_ASK, str(path), "65534", "4711") == "uid:65534"


async def test_who_is_neither_root_nor_in_the_group_does_not_come_in(directory: Path) -> None:
    async with serving(directory):
        answer = await run(_ASK, str(directory / "d.sock"), "1234", "")
        assert answer.startswith("PermissionRefused identity socket")
        assert "member of group paddock" in answer


async def test_a_token_says_the_uid_of_the_one_who_fetched_it_and_no_other(directory: Path) -> None:
    async with serving(directory):
        for name in ("d.sock", "d.sock.id"):
            os.chmod(directory / name, 0o666)
        token = await run(_STEAL, str(directory / "d.sock"), "1234")
        assert token.split(".")[1] == "1234"


async def test_the_sockets_belong_to_the_group_where_it_exists(directory: Path) -> None:
    try:
        expected = grp.getgrnam("paddock").gr_gid
    except KeyError:
        expected = 0
    async with serving(directory):
        for name in ("d.sock", "d.sock.id"):
            found = (directory / name).stat()
            assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, expected, 0o660)


async def test_a_caller_that_connects_and_never_reads_holds_nobody_up(directory: Path) -> None:
    async with serving(directory):
        idle = [await asyncio.open_unix_connection(str(directory / "d.sock.id")) for _ in range(200)]
        assert await run(_ASK, str(directory / "d.sock"), "0", "") == "uid:0"
        for _, writer in idle:
            writer.close()
