"""The lives that lead through the rows of a fetch: files that are there or not, and a server that never answers."""

from __future__ import annotations

import socket

from paddock.wire.v1 import containers_pb2
from tests.faults.stopping import PREPARATION
from tests.faults.stories import FINISHED, NEVER_RAN, NOT_LAUNCHED, Act, Story

THERE = "/etc/passwd"


async def fetches(act: Act) -> None:
    act.wants(THERE)
    await act.launch()
    await act.counts()
    await act.end()


async def _cannot_fetch(act: Act) -> None:
    act.wants(f"{act.agent.directory}/nothing")
    await act.launch()
    await act.ended()


async def _is_killed_in_preparation(act: Act) -> None:
    act.wants(THERE)
    with act.held(PREPARATION):
        await act.launch()
        await act.kill()
        await act.until(containers_pb2.CONTAINER_DESTROYING)
    await act.killed()


async def _is_killed_in_its_fetch(act: Act) -> None:
    """The kernel takes the connection, and nobody ever reads from it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        act.wants(f"http://127.0.0.1:{port}/x")
        await act.launch()
        await act.until(containers_pb2.CONTAINER_FETCHING)
        await act.killed()


FETCH_STORIES = (
    Story(
        name="fetched",
        play=fetches,
        verdicts=frozenset({FINISHED}),
        rows=("PREPARING PREPARED_TO_FETCH", "FETCHING FETCHED"),
    ),
    Story(
        name="not fetched",
        play=_cannot_fetch,
        verdicts=frozenset({NOT_LAUNCHED}),
        rows=("FETCHING FAILED",),
    ),
    Story(
        name="killed in a preparation before a fetch",
        play=_is_killed_in_preparation,
        verdicts=frozenset({NEVER_RAN}),
        rows=("DESTROYING PREPARED_TO_FETCH",),
    ),
    Story(
        name="killed in its fetch",
        play=_is_killed_in_its_fetch,
        verdicts=frozenset({NEVER_RAN}),
        rows=("FETCHING STOP", "DESTROYING FETCHED"),
    ),
)
