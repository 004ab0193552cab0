"""A process in a container, as its shim is asked for it; the test speaks for the shim."""

import asyncio
import json
import os
import socket

import pytest

from agentd.containerizer.exec_session import NativeExec
from agentd.containerizer.shim_link import ShimLink
from paddock.kernel.brief_calls import Receiver
from paddock.model.ids import ContainerId
from tests.descriptors import descriptors_of


def opened() -> set[str]:
    return set(descriptors_of(os.getpid()).values())


async def said(shim: socket.socket) -> dict[str, object]:
    """The shim's next message; the descriptors that come with it are closed."""
    while True:
        try:
            content, fds, _, _ = socket.recv_fds(shim, 100_000, 8)
        except BlockingIOError:
            await asyncio.sleep(0.001)
            continue
        for fd in fds:
            os.close(fd)
        message: dict[str, object] = json.loads(content)
        return message


async def test_what_begins_for_somebody_who_went_away_is_killed() -> None:
    before = opened()
    ours, shim = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link = ShimLink(ContainerId("c1"), ours, lambda _link, _message: None, lambda _link: None, Receiver(4096))
    shim.setblocking(False)
    with shim:
        beginning = asyncio.create_task(NativeExec.begin(link, {}))
        asked = await said(shim)
        beginning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beginning
        shim.send(json.dumps({"answer": "exec", "seq": asked["seq"], "ok": True, "exec_id": "e1", "pid": 7}).encode())
        async with asyncio.timeout(60):
            killed = await said(shim)
        assert (killed["op"], killed["exec_id"], killed["signal"]) == ("exec_kill", "e1", 9)
        link.close()
    assert opened() <= before


async def test_what_could_not_begin_needs_no_killing() -> None:
    before = opened()
    ours, shim = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link = ShimLink(ContainerId("c1"), ours, lambda _link, _message: None, lambda _link: None, Receiver(4096))
    shim.setblocking(False)
    with shim:
        beginning = asyncio.create_task(NativeExec.begin(link, {}))
        await said(shim)
        beginning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beginning
    link.close()
    async with asyncio.timeout(60):
        while opened() - before:
            await asyncio.sleep(0.01)
