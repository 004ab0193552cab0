"""Minutes of random launches, kills, crashes and silences: nothing lost, nothing twice, nothing left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paddock.model.ids import TaskId
from paddock.model.task import Reason, StatusSource, TaskState, TaskStatus
from tests.faults.cells import read_counters
from tests.faults.soak import Soak, Wish, judge
from tests.faults.stage import open_stage
from tests.faults.test_matrix import SEED, seed

RAN = Wish(task_id=TaskId("t"), exit_code=0)


def said(state: TaskState, uuid: str, reason: Reason = Reason.UNSPECIFIED) -> TaskStatus:
    made = TaskStatus(task_id=RAN.task_id, state=state, source=StatusSource.AGENT, reason=reason)
    return replace(made, uuid=b"" if uuid == "-" else bytes.fromhex(uuid))


@pytest.mark.parametrize(
    ("heard", "sent", "ran", "kind"),
    [
        ("RUNNING:aa FINISHED:bb", "RUNNING:aa RUNNING:aa FINISHED:bb FINISHED:bb", True, "told FINISHED"),
        ("RUNNING:aa FINISHED:bb FINISHED:-", "RUNNING:aa FINISHED:bb", True, "told FINISHED"),
        ("LOST:-", "", False, "told LOST"),
        ("LOST:-", "", True, "lost"),
        ("RUNNING:aa FINISHED:bb FAILED:cc", "RUNNING:aa FINISHED:bb FAILED:cc", True, "duplicated"),
        ("FINISHED:bb", "FINISHED:bb FINISHED:cc", True, "duplicated"),
        ("FINISHED:bb RUNNING:cc", "FINISHED:bb", True, "duplicated"),
        ("FINISHED:bb", "RUNNING:aa FINISHED:bb RUNNING:cc", True, "duplicated"),
        ("FINISHED:bb", "FINISHED:bb", False, "untrue"),
        ("KILLED:bb", "KILLED:bb", True, "untrue"),
        ("FAILED:bb", "FAILED:bb", True, "untrue"),
    ],
)
def test_what_is_lost_twice_or_untrue_is_seen(heard: str, sent: str, ran: bool, kind: str) -> None:
    pairs = [[word.split(":") for word in words.split()] for words in (heard, sent)]
    statuses = [said(TaskState[state], uuid) for state, uuid in pairs[0]]
    found, what = judge(RAN, statuses, [(TaskState[state], uuid) for state, uuid in pairs[1]], ran=ran)
    assert (found, not what) == (kind, kind.startswith("told"))


@pytest.mark.parametrize("lines", [["7 1\n7 3\n"], ["7 1\n8 2\n"], ["7 1\n", "9 1\n"], ["7 1\n7 1\n"]])
def test_a_command_that_ran_twice_or_with_a_gap_is_seen(lines: list[str], tmp_path: Path) -> None:
    for number, content in enumerate(lines):
        (tmp_path / str(number)).write_text(content)
    with pytest.raises(AssertionError):
        read_counters([str(path) for path in tmp_path.iterdir()])


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
