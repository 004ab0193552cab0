"""One host with an agent that has Docker, for the tests that go through the whole path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.engine.engine import Engine
from testbed.one_host import OneHost
from tests.cluster.conftest import Command


@pytest.fixture(scope="module")
def host(engine: Engine) -> Iterator[OneHost]:
    made = OneHost.make(agent_arguments=["--containerizers=docker,native", f"--docker-socket={engine.socket}"])
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def paddock(host: OneHost) -> Command:
    return Command(host=host)
