"""The engine for every part of the suite: one for the whole session, and one of one's own to be bad to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.engine.engine import Engine, running_engine

if TYPE_CHECKING:
    from tests.engine.held import Held


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """With busybox's image and the odd one. Whoever hurts it heals it (`hurt_engine`)."""
    # requests and urllib3 come with it: for those sessions only that have an engine.
    from testbed.engine import images  # noqa: PLC0415

    with running_engine() as started:
        images.build_busybox(started)
        images.build_odd(started)
        yield started


@pytest.fixture
def hurt_engine(engine: Engine) -> Iterator[Engine]:
    """The session's, to be paused, killed or restarted: afterwards it answers again, and live-restore is off."""
    yield engine
    if engine.live_restore:
        engine.restart(live_restore=False)
    engine.heal()


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[..., Held]]:
    """Has a container made with the process that stands in for it."""
    from tests.engine.held import holding  # noqa: PLC0415 - as above

    with holding(tmp_path) as make:
        yield make
