"""What processes cost, from /proc: proportional memory and processor time."""

from __future__ import annotations

import os
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def pss_kib(pid: int) -> int:
    """The process' proportional set size: each page divided by the number of those who share it."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/smaps_rollup has no Pss line: does this kernel have CONFIG_PROC_PAGE_MONITOR?")


def cpu_s(pid: int) -> float:
    """Seconds of processor time, user and system, that the process and its reaped children have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / TICKS_PER_S
