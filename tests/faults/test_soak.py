"""Minutes of random launches, kills, crashes and silences: nothing lost, nothing twice, nothing left behind."""

from __future__ import annotations

import pytest

from tests.faults.soak import Soak
from tests.faults.stage import open_stage
from tests.faults.test_matrix import SEED, seed


def soak(duration_s: float, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nsoak: {duration_s:g} s, {SEED}={seed()}")
    with open_stage(agent_count=2) as stage:
        made = Soak(stage, seed())
        stage.run(made.run(duration_s))
        problems = stage.run(made.account())
        words = stage.last_words() if problems else ""
    counts = {"lost": 0, "duplicated": 0, "left behind": 0, **made.counts}
    with capsys.disabled():
        print("soak:", ", ".join(f"{count} {what}" for what, count in counts.items()))
    assert not problems, "\n".join([*problems, words])
    assert made.counts["launches"] > duration_s / 10


@pytest.mark.timeout(400)
def test_a_minute_of_everything(capsys: pytest.CaptureFixture[str]) -> None:
    soak(60, capsys)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_minutes_of_everything(capsys: pytest.CaptureFixture[str]) -> None:
    soak(600, capsys)
