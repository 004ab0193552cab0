from collections.abc import AsyncIterator, Iterator

import pytest

from tests.agentd_process import AgentdProcess, running_agentd
from tests.kernel.agentd.calling import Caller, calling


@pytest.fixture(scope="module")
def shared_agentd() -> Iterator[AgentdProcess]:
    """One for the tests of a module that do not harm it."""
    with running_agentd("--container-disk-watch-interval=500ms") as agentd:
        yield agentd


@pytest.fixture
def agentd() -> Iterator[AgentdProcess]:
    """One's own, to be killed and started again."""
    with running_agentd() as agentd:
        yield agentd


@pytest.fixture
async def agent(shared_agentd: AgentdProcess) -> AsyncIterator[Caller]:
    async with calling(shared_agentd.address) as caller:
        yield caller
