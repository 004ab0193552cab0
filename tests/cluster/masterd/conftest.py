"""A real masterd for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.masterd_process import MasterdProcess


@pytest.fixture
def masterd(tmp_path: Path) -> Iterator[MasterdProcess]:
    with MasterdProcess(tmp_path, "--allocation-interval=200ms", "--allocator-seed=1") as process:
        yield process
