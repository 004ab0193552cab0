"""Whether somebody listens: against the kernel's own answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from paddock.rpc.address import parse_address
from paddock.rpc.knock import NobodyThere, knock


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        yield server


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


async def test_who_listens_is_there_whether_it_takes_the_connection_yet_or_not(
    listener: socket.socket, tmp_path: Path
) -> None:
    await knock(parse_address(f"localhost:{port_of(listener)}"), "master")
    with socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "m"))
        local.listen()
        await knock(parse_address(f"unix:{tmp_path}/m"), "master")


async def test_a_closed_door_is_told_at_once_and_by_its_name(listener: socket.socket, tmp_path: Path) -> None:
    port = port_of(listener)
    listener.close()
    with pytest.raises(NobodyThere, match=r"^master x: Connection refused: is the daemon running"):
        await knock(parse_address(f"127.0.0.1:{port}"), "master x")
    with pytest.raises(NobodyThere, match="No such file or directory"):
        await knock(parse_address(f"unix:{tmp_path}/none"), "master x")
    with pytest.raises(NobodyThere, match="name.example.invalid|resolution|not known"):
        await knock(parse_address("name.example.invalid:1"), "master name.example.invalid")


async def test_a_host_that_says_nothing_is_not_waited_for(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full backlog: the kernel lets further packets fall, as a host without power does."""
    monkeypatch.setattr("paddock.rpc.knock.KNOCK_TIMEOUT_S", 0.1)
    with ExitStack() as full:
        for _ in range(3):
            waiting = full.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        with pytest.raises(NobodyThere, match=r"no answer within 0\.1 s: is its host up"):
            await knock(parse_address(f"127.0.0.1:{port_of(listener)}"), "master")
