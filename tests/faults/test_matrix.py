"""The fault-point matrix on real daemons: a sample that changes with the commit, or all of it."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentd.core import container_states, task_states
from tests.faults import cells
from tests.faults.cells import Cell, matrix, play
from tests.faults.engine_cells import engine_matrix
from tests.faults.stage import NobodyCame, open_stage

SEED = "PADDOCK_FAULTS_SEED"
SAMPLE_COUNT = 50
"""Some 90 seconds of a machine with two processors."""

ROOT = Path(__file__).resolve().parents[2]


def seed() -> str:
    """The commit's, unless somebody wants an earlier sample again."""
    chosen = os.environ.get(SEED)
    if chosen:
        return chosen
    asked = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "no commit"


def test_every_transition_and_every_step_has_its_cells() -> None:
    """A new row, or a new step, without a story that leads there fails here."""
    all_cells = matrix()
    points = {cell.point for cell in all_cells}
    rows = {f"container {state.name} {happened.name}" for state, happened in container_states.TABLE}
    changes = {f"task {state.name} {following.name}" for state, following in task_states.TABLE}
    wanted = rows | changes
    covered = {point.rpartition(" ")[0] for point in points | {cell.point for cell in engine_matrix()}}
    assert wanted - covered == set(cells.WITHOUT_A_CELL)
    assert not covered & set(cells.WITHOUT_A_CELL), "it has its cells now"
    assert set(cells.step_points()) <= points
    assert len(all_cells) == len({cell.name for cell in all_cells}) == len(points) * len(cells.VICTIMS)


def run(chosen: Sequence[Cell], capsys: pytest.CaptureFixture[str]) -> None:
    """Each failure begins on a new stage: what one cell has broken must not be another's fault.

    A cell at whose point nobody came is played once more, and said.
    """
    left, failures = list(chosen), []
    again: list[str] = []
    while left:
        with open_stage() as stage:
            while left:
                cell = left.pop(0)
                try:
                    stage.run(play(stage, stage.agents[0], cell, f"task-{len(left):032}"))
                except Exception as error:  # whatever it is, the other cells are played
                    if isinstance(error, NobodyCame) and cell.name not in again:
                        again.append(cell.name)
                        left.insert(0, cell)
                        break
                    failures.append(f"{cell.name}: {type(error).__name__}: {error!s}\n{stage.last_words()}")
                    break
    with capsys.disabled():
        print(f"\n{len(chosen) - len(failures)} of {len(chosen)} cells are as they must be")
        print(f"played again, because nobody came to the point: {', '.join(again) or 'none'}")
    assert not failures, "\n\n".join(failures)


@pytest.mark.timeout(900)
def test_a_sample_of_the_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    all_cells = matrix()
    with capsys.disabled():
        print(f"\nfault points: {SAMPLE_COUNT} of {len(all_cells)} cells, {SEED}={seed()}")
    run(random.Random(seed()).sample(all_cells, SAMPLE_COUNT), capsys)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_the_whole_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nfault points: all {len(matrix())} cells")
    run(matrix(), capsys)
