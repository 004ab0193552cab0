"""The matrix of an engine's faults on real daemons, a real engine and a real registry: a sample, or all of it."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.faults.cells import VICTIMS, play
from tests.faults.engine_cells import FAULTS, EngineCell, engine_matrix
from tests.faults.engine_stage import open_engine_stage, open_scene
from tests.faults.stage import NobodyCame
from tests.faults.test_matrix import SEED, seed

SAMPLE_COUNT = 10
"""A minute of a machine with two processors."""


def run(chosen: Sequence[EngineCell], capsys: pytest.CaptureFixture[str]) -> None:
    """Each failure begins on a new stage. Those that want live-restore come last: another setting is another engine.

    A cell at whose point nobody came is played once more, and said.
    """
    left, failures = sorted(chosen, key=lambda cell: cell.fault.live_restore), []
    again: list[str] = []
    with open_scene() as scene:
        while left:
            with open_engine_stage(scene) as stage:
                while left:
                    cell = left.pop(0)
                    try:
                        stage.run(play(stage, stage.agents[0], cell, f"task-{len(left):032}"))
                    except Exception as error:  # whatever it is, the other cells are played
                        if isinstance(error, NobodyCame) and cell.name not in again:
                            again.append(cell.name)
                            left.insert(0, cell)
                        else:
                            failures.append(f"{cell.name}: {type(error).__name__}: {error!s}\n{stage.last_words()}")
                        scene.heal(live_restore=cell.fault.live_restore)
                        break
    silence_s = max(cell.silences.longest_s for cell in chosen)
    with capsys.disabled():
        print(f"\n{len(chosen) - len(failures)} of {len(chosen)} cells are as they must be")
        print(f"played again, because nobody came to the point: {', '.join(again) or 'none'}")
        print(f"the agent's longest silence while an engine was hurt: {silence_s:.2f} s")
    assert not failures, "\n\n".join(failures)


def test_every_fault_meets_every_point() -> None:
    cells = engine_matrix()
    points = {(cell.story.name, cell.point) for cell in cells}
    assert len(cells) == len({cell.name for cell in cells}) == len(points) * (len(FAULTS) + len(VICTIMS))


@pytest.mark.timeout(900)
def test_a_sample_of_the_engines_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    all_cells = engine_matrix()
    with capsys.disabled():
        print(f"\nan engine's faults: {SAMPLE_COUNT} of {len(all_cells)} cells, {SEED}={seed()}")
    run(random.Random(seed()).sample(all_cells, SAMPLE_COUNT), capsys)


@pytest.mark.long
@pytest.mark.timeout(14_400)
def test_the_whole_engines_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nan engine's faults: all {len(engine_matrix())} cells")
    run(engine_matrix(), capsys)
