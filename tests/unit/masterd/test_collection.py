"""How masterd has Python look for cycles: seldom, never among what stays, and still often enough that they go."""

from __future__ import annotations

import subprocess
import sys

# A process of its own: whoever looks for cycles in this one finds those of other tests.
_PROGRAM = """
import gc
from masterd.__main__ import collect_seldom

def runs():
    return sum(generation["collections"] for generation in gc.get_stats())

collect_seldom()
print(gc.get_freeze_count() > 10_000)
before = runs()
kept = [[] for _ in range(10_000)]
print(runs() == before)
for _ in range(500_000):
    cycle = []
    cycle.append(cycle)
print(before < runs() <= before + 4)
print(len(gc.get_objects()) < len(kept) + 300_000)
"""


def test_what_is_there_is_not_looked_through_and_cycles_still_go() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["True"] * 4
