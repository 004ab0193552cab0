import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.agentd_process import STOP_TIMEOUT_S, AgentdProcess, lent, running_agentd
from tests.kernel.agentd.calling import Caller, calling

# To start an agent costs more than most tests of it do: a module's tests share one, and each shows that it left nothing.


@pytest.fixture(scope="module")
def standing_agentd() -> Iterator[AgentdProcess]:
    with running_agentd("--container-disk-watch-interval=500ms") as agentd:
        yield agentd


@pytest.fixture
def shared_agentd(standing_agentd: AgentdProcess) -> Iterator[AgentdProcess]:
    """For tests that do not harm it."""
    with lent(standing_agentd) as agentd:
        yield agentd


@pytest.fixture
async def agent(shared_agentd: AgentdProcess) -> AsyncIterator[Caller]:
    async with calling(shared_agentd.address) as caller:
        yield caller
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        while there := await caller.list():  # a launch is refused before what was prepared for it is gone
            assert time.monotonic() < deadline_s, f"{there}\n{shared_agentd.last_words()}"
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def mortal_agentd() -> Iterator[AgentdProcess]:
    with running_agentd() as agentd:
        yield agentd


@pytest.fixture
def agentd(mortal_agentd: AgentdProcess) -> Iterator[AgentdProcess]:
    """To be killed and started again; it has a past."""
    with lent(mortal_agentd) as agentd:
        yield agentd
