"""A task's log as a stream of bytes that goes on over its rotations and over restarts of its agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from paddock.cli.connect import agent_at
from paddock.model.errors import Unavailable

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 2.0
GIVE_UP_AFTER_S = 120.0
"""Without a word from the agent: then it is not restarting, it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWanted:
    """`stream`: stdout or stderr. From `position`, else the last `tail_line_count` lines, else the oldest byte on.

    `give_up_after_s`: without a word from the agent.
    """

    agent_address: str
    container_id: str
    stream: str
    position: int | None = None
    tail_line_count: int | None = None
    follow: bool = True
    give_up_after_s: float = GIVE_UP_AFTER_S


async def log_bytes(wanted: LogWanted, tell: Callable[[str], None]) -> AsyncIterator[bytes]:
    """Each byte once and in order; what is lost is told, in words. Raises Unavailable when the agent does not come back."""
    position, tail_line_count = wanted.position, wanted.tail_line_count
    loop = asyncio.get_running_loop()
    delay_s, last_word_s, is_told = FIRST_DELAY_S, loop.time(), False
    while True:
        try:
            async with agent_at(wanted.agent_address) as agent:
                async for piece in agent.follow_log(
                    wanted.container_id,
                    wanted.stream,
                    position=position,
                    tail_line_count=tail_line_count,
                    follow=wanted.follow,
                ):
                    position, tail_line_count = piece.position + len(piece.content), None
                    if piece.lost_bytes:
                        tell(_lost(wanted.stream, piece.lost_bytes))
                    if piece.moved:
                        tell(
                            f"the task's {wanted.stream} is no longer where it was; what is written elsewhere is not shown"
                        )
                    if piece.content:
                        yield piece.content
                    delay_s, last_word_s, is_told = FIRST_DELAY_S, loop.time(), False
        except Unavailable as error:
            if not wanted.follow or loop.time() - last_word_s > wanted.give_up_after_s:
                raise
            if not is_told:
                is_told = True
                tell(f"the connection that brings its {wanted.stream} was lost ({error}); waiting for the agent")
        else:
            return
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, LONGEST_DELAY_S)


def _lost(stream: str, count: int) -> str:
    return f"{count} bytes of {stream} are lost: rotated away before they were read, or cut off by the task"
