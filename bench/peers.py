"""What Paddock is measured against: crun, runc, bwrap, plain fork and exec, each asked for the same as Paddock."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.bundle import make_bundle
from bench.peer_process import LANES, NAME_PREFIX, PeerError, program

PEER_TIMEOUT_S = 300.0
CREATED_TIMEOUT_S = 30.0
CGROUP_ROOT = Path("/sys/fs/cgroup")
TREE = Path(__file__).resolve().parents[1]


class Peers:
    """The running peer process, by requests and answers."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path) -> None:
        self._process = process
        self.directory = directory

    async def run_one(self, peer: str) -> float:
        """Seconds of one whole life of /bin/true."""
        return (await self._ask("run", peer, 1, 1))["total_s"]

    async def run_many(self, peer: str, *, count: int, in_flight: int) -> float:
        """Seconds until ``count`` lives are over."""
        return (await self._ask("run", peer, count, in_flight))["total_s"]

    async def up(self, peer: str, *, count: int, in_flight: int) -> float:
        """Seconds until ``count`` containers sleep."""
        return (await self._ask("up", peer, count, in_flight))["total_s"]

    async def conmons(self, *, count: int) -> list[int]:
        """Pids of ``count`` conmons, each with a container that sleeps."""
        await self._ask("up", "conmon", count, 1)
        files = sorted(self.directory.glob(f"{NAME_PREFIX}*.conmon"))
        # conmon leaves for the background before crun has created its container.
        deadline_s = time.monotonic() + CREATED_TIMEOUT_S
        states = [self.directory / "crun" / path.stem / "status" for path in files]
        while not all(state.exists() for state in states):
            if time.monotonic() > deadline_s:
                raise PeerError("conmon: a container was not created in time")
            await asyncio.sleep(0.05)
        await self._ask("start", "conmon", count, 4)
        return [int(path.read_text()) for path in files]

    async def down(self, *, in_flight: int) -> float:
        """Seconds until all containers that sleep are gone."""
        return (await self._ask("down", "", 0, in_flight))["total_s"]

    async def _ask(self, op: str, peer: str, count: int, in_flight: int) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"op": op, "peer": peer, "count": count, "in_flight": in_flight}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        line = await asyncio.wait_for(self._process.stdout.readline(), PEER_TIMEOUT_S)
        if not line:
            raise PeerError(f"the peers' process ended while it was asked to {op} {peer}: its words are above")
        answered = json.loads(line)
        if "error" in answered:
            raise PeerError(answered["error"])
        return {"total_s": float(answered["total_s"])}


@asynccontextmanager
async def running_peers() -> AsyncIterator[Peers]:
    """The peers, ready to be asked; all that they made is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=NAME_PREFIX) as name:
        directory = Path(name)
        for lane in range(LANES):
            make_bundle(directory / f"true-{lane}", [program("true")])
            make_bundle(directory / f"sleep-{lane}", [program("sleep"), "100000"])
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", _HIDE_CGROUP2, "sh"),
            *(sys.executable, "-m", "bench.peer_process", str(directory)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=TREE,
        )
        try:
            yield Peers(process, directory)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
            remove_cgroups()


# crun refuses a cgroup2 mount beside v1's: only this namespace loses it, and only where v1 is there.
_HIDE_CGROUP2 = (
    "if grep -q ' - cgroup ' /proc/self/mountinfo; then"
    " awk '/ - cgroup2 / { print $5 }' /proc/self/mountinfo | xargs -r umount || exit 1; fi; exec \"$@\""
)


def remove_cgroups() -> None:
    """Remove the directories that peers leave in hierarchies which they do not clean."""
    for path in sorted(CGROUP_ROOT.glob(f"**/{NAME_PREFIX}*"), reverse=True):
        path.rmdir()
