"""A running agent for each test, and one shared by the tests that only launch."""

from collections.abc import Iterator

import pytest

from tests.kernel.launch.running import Agent, agent


@pytest.fixture(scope="module")
def shared() -> Iterator[Agent]:
    with agent() as running:
        yield running


@pytest.fixture
def own() -> Iterator[Agent]:
    with agent() as running:
        yield running
