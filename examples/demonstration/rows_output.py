"""Row 1: an ordinary command."""

from __future__ import annotations

import asyncio
import sys

from examples.demonstration.row import Row, Seen, judge
from examples.demonstration.session import RunningTask, Session, Wish

COMMAND = "echo first; sleep 2; echo second; echo trouble >&2; exit 7"


async def act(session: Session) -> Seen:
    """Follow both outputs while it runs; the first line must be here well before the end."""
    late_before_ms = session.late_ms
    task = await session.launch(Wish(name="ordinary", shell=COMMAND, cpus_milli=100, mem_mib=32))
    (stdout, first_s), stderr = await asyncio.gather(_show(task), task.read_all("stderr"))
    status = await task.ended()
    lead_ms = round((asyncio.get_running_loop().time() - first_s) * 1000) if stdout else 0
    code = status.evidence.exit_code if status.evidence else None
    holds, failed = judge(
        {
            "stdout": stdout == b"first\nsecond\n",
            "stderr": stderr == b"trouble\n",
            "exit code": code == 7,
            "streamed while it ran": lead_ms + session.late_ms - late_before_ms >= 400,
        }
    )
    text = f"stdout {_lines(stdout)}, stderr {_lines(stderr)}, exit code {code}; first line {lead_ms} ms before the end"
    return Seen(text=text + failed, as_expected=holds)


def _lines(output: bytes) -> str:
    return " | ".join(output.decode(errors="replace").splitlines()) or "empty"


async def _show(task: RunningTask) -> tuple[bytes, float]:
    """What it wrote, shown as it came, and when the first of it came (the event loop's time)."""
    stdout, first_s = b"", 0.0
    async for data in task.follow("stdout"):
        if not stdout:
            first_s = asyncio.get_running_loop().time()
        stdout += data
        sys.stdout.write("".join(f"   │ {line}\n" for line in data.decode(errors="replace").splitlines()))
        sys.stdout.flush()
    return stdout, first_s


ROWS = (
    Row(
        number=1,
        title="an ordinary command",
        asked="sh: two lines to stdout 2 s apart, one to stderr, exit 7",
        expected="both outputs stream; exit code 7 comes back",
        act=act,
    ),
)
