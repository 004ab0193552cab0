"""What is asked often is made seldom; who goes away takes it from nobody; what failed is tried anew."""

from __future__ import annotations

import asyncio

import pytest

from paddock.metrics import pages
from paddock.metrics.families import Sample, gauge
from paddock.metrics.pages import Fresh, metrics_page

THINGS = gauge("test_things", "Things.")


async def test_many_who_ask_at_once_get_one_making(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "FRESH_S", 600.0)
    made = 0
    go_on = asyncio.Event()

    async def make() -> int:
        nonlocal made
        made += 1
        await go_on.wait()
        return made

    fresh = Fresh(make)
    asking = [asyncio.create_task(fresh.get()) for _ in range(10)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(*asking[1:]) == [1] * 9
    assert await fresh.get() == 1, "it is still fresh"
    monkeypatch.setattr(pages, "FRESH_S", 0.0)
    await asyncio.sleep(0.001)
    assert await fresh.get() == 2


async def test_what_failed_is_made_anew_at_once() -> None:
    failures = ["first"]

    async def make() -> str:
        if failures:
            raise OSError(failures.pop())
        return "made"

    fresh = Fresh(make)
    with pytest.raises(OSError, match="first"):
        await fresh.get()
    assert await fresh.get() == "made"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=nonsense;escaping=?",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ],
)
async def test_the_format_is_what_was_asked_for(accept: str, content_type: str) -> None:
    async def collect() -> list[Sample]:
        return [THINGS.sample(3)]

    answer = await metrics_page((THINGS,), collect)(accept)
    assert answer.content_type == content_type
    assert b"\ntest_things 3.0\n" in answer.body
    assert answer.body.endswith(b"# EOF\n") is ("openmetrics" in content_type)
