"""A log's stream: each byte once, over connections that end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.cli import log_stream
from paddock.cli.log_stream import LogWanted, log_bytes
from paddock.model.errors import InvalidRequest, NotFound, PaddockError, Unavailable
from paddock.rpc.clients.agent import LogPieceView


class Agent:
    """Keeps a log from `oldest` on, and goes away after so many pieces each time."""

    def __init__(self, content: bytes, patience: list[int], piece_bytes: int = 3) -> None:
        self.content = content
        self.patience = patience
        self.piece_bytes = piece_bytes
        self.asked: list[tuple[int | None, int | None]] = []
        self.oldest = 0
        self.refusal: PaddockError = Unavailable("it is away")

    async def follow_log(
        self, container_id: str, stream: str, *, position: int | None, tail_line_count: int | None, follow: bool
    ) -> AsyncIterator[LogPieceView]:
        assert (container_id, stream) == ("c", "stdout")
        self.asked.append((position, tail_line_count))
        left = self.patience.pop(0) if self.patience else None
        wanted = position or 0
        at = max(wanted, self.oldest)
        while at < len(self.content):
            if left == 0:
                raise self.refusal
            left = None if left is None else left - 1
            piece = self.content[at : at + self.piece_bytes]
            yield LogPieceView(content=piece, position=at, lost_bytes=max(at - wanted, 0), moved=False)
            at += len(piece)
            wanted = at


def streamed(agent: Agent, monkeypatch: pytest.MonkeyPatch, **wanted: object) -> tuple[bytes, list[str]]:
    told: list[str] = []

    @asynccontextmanager
    async def agent_at(address: str) -> AsyncIterator[Agent]:
        assert address == "unix:/a"
        yield agent

    async def all_of_it() -> bytes:
        asked = LogWanted(agent_address="unix:/a", container_id="c", stream="stdout", **wanted)  # type: ignore[arg-type]
        return b"".join([content async for content in log_bytes(asked, tell=told.append)])

    monkeypatch.setattr(log_stream, "agent_at", agent_at)
    monkeypatch.setattr(log_stream, "FIRST_DELAY_S", 0.0)
    return asyncio.run(all_of_it()), told


@given(content=st.binary(min_size=1, max_size=40), patience=st.lists(st.integers(0, 5), max_size=6))
def test_each_byte_comes_once_however_often_the_agent_goes(content: bytes, patience: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        found, told = streamed(Agent(content, patience), patch, position=0)
    assert found == content
    assert all("that brings its stdout was lost" in words and "waiting for the agent" in words for words in told)


def test_going_on_is_from_the_next_byte_and_not_from_the_tail_again(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(b"0123456789", [0, 1])
    assert streamed(agent, monkeypatch, tail_line_count=5)[0] == b"0123456789"
    assert agent.asked == [(None, 5), (None, 5), (3, None)]


def test_what_is_lost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(b"0123456789", [])
    agent.oldest = 4
    found, told = streamed(agent, monkeypatch, position=0)
    assert found == b"456789"
    assert told == ["4 bytes of stdout are lost: rotated away before they were read, or cut off by the task"]


def test_another_refusal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(b"0123456789", [1])
    agent.refusal = NotFound("container", "c")
    with pytest.raises(NotFound):
        streamed(agent, monkeypatch)


def test_without_follow_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable):
        streamed(Agent(b"0123456789", [1]), monkeypatch, follow=False)


def test_an_agent_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable):
        streamed(Agent(b"0123456789", [0]), monkeypatch, give_up_after_s=-1.0)


@pytest.mark.parametrize("text", ["x", "-1", "1" * 10, "²"])
def test_a_wrong_tail_is_named(text: str) -> None:
    from paddock.cli import logs  # noqa: PLC0415

    with pytest.raises(InvalidRequest, match="--tail"):
        logs._tail(text)
