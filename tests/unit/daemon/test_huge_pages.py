"""Huge pages, asked of this kernel by a process of its own; what the kernel says of its memory is the proof."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from paddock.daemon import huge_pages

SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
OBJECTS = """
from paddock.daemon.huge_pages import use_huge_pages
before = [str(number) for number in range(200_000)]
print(use_huge_pages())
with open("/proc/self/smaps_rollup") as file:
    print(file.read())
assert before == [str(number) for number in range(200_000)]
"""


def test_what_a_daemon_has_allocated_is_in_huge_pages_where_the_operator_lets_it() -> None:
    """A dozen megabytes of objects, which stay what they were."""
    run = subprocess.run([sys.executable, "-c", OBJECTS], capture_output=True, text=True, check=True)
    collapsed, _, rest = run.stdout.partition("\n")
    in_huge_pages = re.search(r"AnonHugePages: +(\d+) kB", rest)
    assert in_huge_pages is not None
    is_allowed = SETTING.exists() and "[never]" not in SETTING.read_text(encoding="ascii")
    assert int(in_huge_pages[1]) * 1024 >= int(collapsed)
    assert (int(collapsed) >= 2 * huge_pages.HUGE_PAGE_BYTES) is is_allowed


@pytest.mark.parametrize("setting", ["always madvise [never]\n", None])
def test_what_is_switched_off_stays_off(setting: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the operator, or because the kernel has none."""
    path = tmp_path / "enabled"
    if setting is not None:
        path.write_text(setting, encoding="ascii")
    monkeypatch.setattr(huge_pages, "_SETTING", str(path))
    assert huge_pages.use_huge_pages() == 0
