"""A running agent for each test, and one shared by the tests that only launch."""

from collections.abc import Iterator

import pytest

from paddock.launch import ending_list, waiting_list
from tests.kernel.launch.running import Agent, agent


@pytest.fixture(scope="module")
def shared() -> Iterator[Agent]:
    with agent() as running:
        yield running


@pytest.fixture
def own() -> Iterator[Agent]:
    with agent() as running:
        yield running


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists written now open no ear, and wait for an end: on a slow machine no life is short, and then it is Python's."""
    monkeypatch.setattr(waiting_list, "EAR_AFTER_NS", 600 * 10**9)
    monkeypatch.setattr(ending_list, "MOMENT_NS", 600 * 10**9)
