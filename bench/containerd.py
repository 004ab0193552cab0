"""A containerd of our own, for the memory of its shims: it keeps everything in one directory that goes with it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.peer_process import NAME_PREFIX, PeerError, program

COMMAND_TIMEOUT_S = 30.0


class Containerd:
    """The running daemon, spoken to by ctr."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "socket"
        self._names: list[str] = []

    async def start_sleeper(self, root: Path) -> None:
        """Start one container that sleeps, from a root file system as it is: no image, no snapshot."""
        name = f"{NAME_PREFIX}containerd-{len(self._names)}"
        self._names.append(name)
        await self.ctr("run", "-d", "--rootfs", "--cgroup", f"/{name}", str(root), name, program("sleep"), "100000")

    def shims(self) -> list[int]:
        """Pids of the shims that serve this daemon."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().decode(errors="replace").split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if "containerd-shim" in words[0] and str(self.socket) in words:
                found.append(int(path.parent.name))
        return found

    async def end_all(self) -> None:
        """End every container; its shim goes with it."""
        for name in self._names:
            await self.ctr("task", "delete", "--force", name)
            await self.ctr("container", "delete", name)
        self._names.clear()

    async def ctr(self, *arguments: str) -> None:
        """Run ctr to its end. Deleting by force reports the killed task's exit code: that is no failure."""
        process = await asyncio.create_subprocess_exec(
            *(program("ctr"), "--address", str(self.socket), *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        words, _none = await asyncio.wait_for(process.communicate(), COMMAND_TIMEOUT_S)
        if process.returncode != 0 and "delete" not in arguments:
            raise PeerError(f"ctr {' '.join(arguments)}: {words.decode(errors='replace')[-500:]}")


@asynccontextmanager
async def running_containerd(directory: Path) -> AsyncIterator[Containerd]:
    """A containerd without CRI, ready; stopped with all its containers at the end."""
    directory.mkdir()
    daemon = Containerd(directory)
    configuration = directory / "config.toml"
    configuration.write_text(
        f'version = 2\nroot = "{directory}/root"\nstate = "{directory}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{daemon.socket}"\n'
    )
    with (directory / "words").open("wb") as words:
        process = await asyncio.create_subprocess_exec(
            *(program("containerd"), "--config", str(configuration)), stdout=words, stderr=words
        )
    try:
        await _wait_for(daemon, process, directory / "words")
        yield daemon
    finally:
        try:
            await daemon.end_all()
        finally:
            process.terminate()
            await process.wait()


async def _wait_for(daemon: Containerd, process: asyncio.subprocess.Process, words: Path) -> None:
    for _attempt in range(100):
        try:
            await daemon.ctr("version")
        except PeerError:
            if process.returncode is not None:
                break
            await asyncio.sleep(0.1)
        else:
            return
    raise PeerError(f"containerd did not start: {words.read_text(errors='replace')[-1000:]}")
