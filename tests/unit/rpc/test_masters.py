"""Which master of a list is asked, and what is told when none answers."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from paddock.model.errors import Unavailable
from paddock.rpc.clients import master
from paddock.rpc.clients.master import connect_master

TIMEOUT_S = 0.3


async def test_one_that_says_nothing_is_asked_once_and_the_next_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(master, "_CONNECT_TIMEOUT_S", TIMEOUT_S)
    # The kernel takes the connection, and nobody ever answers: as a master whose host hangs.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_at = f"127.0.0.1:{silent.getsockname()[1]}"
        addresses = (silent_at, f"unix:{tmp_path}/none.sock")
        with pytest.raises(Unavailable) as raised:
            async with connect_master(addresses):
                pass
    said = str(raised.value)
    assert said.count(f"{silent_at}: no answer within {TIMEOUT_S:g} s") == 1
    assert f"{tmp_path}/none.sock" in said
    assert said.endswith("start masterd, or say its address by --master or PADDOCK_MASTER")
