"""How far a pull is, from lines as engines write them, and from any others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.docker.failures import EngineFailure
from agentd.docker.pull_progress import PullLines, PullProgress


def layer(name: str, status: str, current: int | None = None, total: int | None = None) -> dict[str, object]:
    detail = {} if current is None else {"current": current, "total": total}
    return {"id": name, "status": status, "progressDetail": detail}


def after(*lines: dict[str, object]) -> PullLines:
    found = PullLines()
    for line in lines:
        found.take(line)
    return found


def test_layers_and_bytes_are_counted() -> None:
    found = after(
        {"status": "Pulling from box", "id": "1"},
        layer("aa", "Already exists"),
        layer("bb", "Pulling fs layer"),
        layer("cc", "Pulling fs layer"),
        layer("cc", "Waiting"),
        layer("bb", "Downloading", 1 << 20, 4 << 20),
        layer("bb", "Downloading", 3 << 20, 4 << 20),
    )
    assert found.progress == PullProgress(layers_count=3, have_count=1, current_bytes=3 << 20, total_bytes=4 << 20)
    assert str(found.progress) == "1 of 3 layers, 3.0 of 4.0 MiB"
    for line in (
        layer("bb", "Verifying Checksum"),
        layer("bb", "Download complete"),
        layer("bb", "Extracting", 1, 2),
        layer("bb", "Pull complete"),
        layer("cc", "Downloading", 1, 1),
        layer("cc", "Pull complete"),
    ):
        found.take(line)
    assert found.progress == PullProgress(
        layers_count=3, have_count=3, current_bytes=(4 << 20) + 1, total_bytes=(4 << 20) + 1
    )
    assert found.error == ""


def test_it_is_whole_when_the_last_line_has_come() -> None:
    digest: dict[str, object] = {"status": "Digest: sha256:00"}
    assert not after(layer("bb", "Pull complete"), digest).is_whole
    assert after(layer("bb", "Pull complete"), digest, {"status": "Status: Image is up to date for box:1"}).is_whole


@pytest.mark.parametrize(
    "line", [{"errorDetail": {"message": "no"}, "error": "no"}, {"error": "no"}, {"errorDetail": {"message": "no"}}]
)
def test_an_error_in_the_middle_is_kept(line: dict[str, object]) -> None:
    assert after(line, {"status": "x"}).error == "no"


def test_a_registry_that_makes_up_layers_without_an_end_costs_no_more_memory() -> None:
    found = after(*(layer(str(number), "Waiting") for number in range(2000)))
    assert found.progress.layers_count == 1024


WORDS = st.sampled_from(["Downloading", "Pull complete", "Already exists", "Waiting", "Status: x", ""])
LINES = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["aa", "bb", ""]) | st.none() | st.integers(),
        "status": WORDS | st.integers(),
        "progressDetail": st.none()
        | st.dictionaries(st.sampled_from(["current", "total"]), st.integers() | st.text(max_size=3)),
        "error": st.text(max_size=5) | st.integers(),
    },
)


@given(st.lists(LINES, max_size=8))
def test_any_lines_are_progress_or_refused(lines: list[dict[str, Any]]) -> None:
    found = PullLines()
    for line in lines:
        try:
            found.take(line)
        except EngineFailure:
            return
        assert 0 <= found.progress.have_count <= found.progress.layers_count <= 2
