"""The agent's client of its master, against a real server: what is left of a connection that has ended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from agentd.config import configuration
from agentd.core.events import Event
from agentd.rpc.master import MasterClient
from agentd.rpc.powers import Powers
from agentd.shell import Shell
from agentd.users import Users
from paddock.daemon.config import Shown
from paddock.model.agent import AgentInfo
from paddock.model.ids import AgentId
from paddock.model.resources import Resources
from paddock.model.task import DEFAULT_LOG_POLICY
from paddock.rpc.leader import StaticMasters
from tests.kernel.agentd.scripted_master import TIMEOUT_S, scripted_master
from tests.unit.agentd.core import made


async def test_of_a_connection_that_the_master_ends_nothing_waits_any_more(tmp_path: Path) -> None:
    """What still waits is found by the interpreter some time, and told on stderr as a task that was destroyed."""
    events: list[Event] = []
    found = configuration().load((), {})
    assert not isinstance(found, Shown)
    before = asyncio.all_tasks()
    async with scripted_master(tmp_path / "masterd.sock") as master:
        client = MasterClient(
            StaticMasters((f"unix:{tmp_path}/masterd.sock",)),
            cast("Shell", SimpleNamespace(state=made.state(), post=events.append)),
            Users(),
            Powers.of(found.settings),
            work_dir="/work",
            log_policy=DEFAULT_LOG_POLICY,
            info=lambda: AgentInfo(agent_id=AgentId("a1"), hostname="h", resources=Resources.scalars({"cpus": 1000})),
        )
        client.start()
        for _ in range(2):
            connection, _ = await master.connected()
            await connection.heard()
            connection.close()
        await master.connected()
        await client.stop()
    async with asyncio.timeout(TIMEOUT_S):
        while asyncio.all_tasks() - before:
            await asyncio.sleep(0.05)
