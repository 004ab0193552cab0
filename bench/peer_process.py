"""Runs the peers and times them: a process of its own, because crun needs a mount namespace without the hybrid cgroup2.

One JSON request on each line of standard input, one answer on each line of standard output. A run is timed from before
posix_spawn until the reaped end, so nothing of Python's subprocess module is in the peers' figures.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# With this prefix, what is left after a crash is provably ours.
NAME_PREFIX = "paddock-bench-"
REAP_TIMEOUT_S = 5.0


class PeerError(Exception):
    """A peer ended with an error: its command, status and words."""


# What to start in a lane. Each lane has a root file system of its own: two crun at once in one get in each other's way.
Command = Callable[[int], list[str]]
LANES = 4


def always(words: list[str]) -> Command:
    """The same command in every lane."""
    return lambda _lane: words


class Runner:
    """Starts peers' commands with standard output and error in one file, and waits for them."""

    def __init__(self, words: Path) -> None:
        self._words = words
        self._devnull = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._output = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def run(self, commands: Sequence[Command], in_flight: int) -> float:
        """Run all commands, one in each lane at a time, and return the seconds until the last one has ended."""
        running: dict[int, tuple[int, list[str]]] = {}
        lanes = list(range(in_flight))
        waiting = list(reversed(commands))
        begin_s = time.perf_counter()
        while waiting or running:
            while waiting and lanes:
                lane = lanes.pop()
                command = waiting.pop()(lane)
                running[self._start(command)] = (lane, command)
            pid, status = os.waitpid(-1, 0)
            if pid in running:
                lane, command = running.pop(pid)
                lanes.append(lane)
                if status != 0:
                    end = self._words.read_text(errors="replace")[-1000:]
                    raise PeerError(f"`{' '.join(command)}` ended with wait status {status}: {end}")
        return time.perf_counter() - begin_s

    def _start(self, command: list[str]) -> int:
        redirections = [(os.POSIX_SPAWN_DUP2, self._devnull, 0)]
        redirections += [(os.POSIX_SPAWN_DUP2, self._output, number) for number in (1, 2)]
        return os.posix_spawn(command[0], command, dict(os.environ), file_actions=redirections)


class Peers:
    """The peers' command lines, and the names of the containers that they have made."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._bases = {
            "crun": [program("crun"), "--cgroup-manager=cgroupfs", "--root", str(directory / "crun")],
            "runc": [program("runc"), "--root", str(directory / "runc")],
        }
        self._last = 0
        self.alive: list[tuple[str, str]] = []

    def short(self, peer: str) -> Command:
        """The command of one whole life of /bin/true."""
        if peer == "plain":
            return always([program("true")])
        if peer == "bwrap":
            return always([program("bwrap"), *BWRAP_OPTIONS, program("true")])
        base, name = self._bases[peer], self._name()
        return lambda lane: [*base, "run", "-b", self._bundle("true", lane), name]

    def detached(self, peer: str) -> Command:
        """The command that leaves a sleeping container behind; conmon's sleeps in crun, created and not started."""
        name = self._name()
        if peer == "conmon":
            self.alive.append(("crun", name))
            return always(self._conmon(name))
        self.alive.append((peer, name))
        base = self._bases[peer]
        return lambda lane: [*base, "run", "-d", "-b", self._bundle("sleep", lane), name]

    def starts(self) -> list[Command]:
        """The commands that start what conmon has only created."""
        return [always([*self._bases[peer], "start", name]) for peer, name in self.alive]

    def _conmon(self, name: str) -> list[str]:
        directory = self._directory
        runtime, *arguments = self._bases["crun"]
        # conmon keeps sockets and FIFOs in the bundle: each has its own, with the same root file system.
        bundle = directory / f"{name}.bundle"
        bundle.mkdir()
        shutil.copy2(self._bundle("sleep", 0) + "/config.json", bundle)
        return [
            *(program("conmon"), "--cid", name, "--cuuid", name, "--name", name, "--bundle", str(bundle)),
            *("--runtime", runtime, *(part for word in arguments for part in ("--runtime-arg", word))),
            *(
                "--conmon-pidfile",
                str(directory / f"{name}.conmon"),
                "--container-pidfile",
                str(directory / f"{name}.pid"),
            ),
            *("--log-path", f"k8s-file:{bundle}/log", "--socket-dir-path", str(directory)),
        ]

    def ends(self) -> list[Command]:
        """The commands that end everything left behind."""
        gone, self.alive = self.alive, []
        return [always([*self._bases[peer], "delete", "--force", name]) for peer, name in gone]

    def _bundle(self, kind: str, lane: int) -> str:
        return str(self._directory / f"{kind}-{lane}")

    def _name(self) -> str:
        self._last += 1
        return f"{NAME_PREFIX}{os.getpid()}-{self._last}"


BWRAP_OPTIONS = ("--bind", "/", "/", "--unshare-pid", "--unshare-ipc", "--proc", "/proc", "--dev", "/dev", "--")


def program(name: str) -> str:
    """Where a program is; the search is not part of any figure."""
    path = shutil.which(name)
    if path is None:
        raise PeerError(f"{name} is not installed: `make bench` installs it, or apt-get install its package")
    return path


def answer(request: dict[str, object], runner: Runner, peers: Peers) -> dict[str, object]:
    """Do what one request asks."""
    peer, count, in_flight = str(request["peer"]), int(str(request["count"])), int(str(request["in_flight"]))
    make: dict[object, Callable[[], list[Command]]] = {
        "run": lambda: [peers.short(peer) for _ in range(count)],
        "up": lambda: [peers.detached(peer) for _ in range(count)],
        "start": peers.starts,
        "down": peers.ends,
    }
    return {"total_s": runner.run(make[request["op"]](), in_flight)}


PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Serve until standard input ends, then end every container that is left."""
    # What peers leave in the background becomes ours to reap, and no zombie of a process 1 that reaps nothing.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    directory = Path(sys.argv[1])
    runner = Runner(directory / "words")
    peers = Peers(directory)
    try:
        for line in sys.stdin:
            try:
                answered = answer(json.loads(line), runner, peers)
            except (PeerError, OSError) as error:
                answered = {"error": str(error)}
            print(json.dumps(answered), flush=True)
    finally:
        runner.run(peers.ends(), in_flight=4)
        reap_all()


def reap_all() -> None:
    """Wait for everything in the background, which the end of the containers ends."""
    deadline_s = time.monotonic() + REAP_TIMEOUT_S
    while time.monotonic() < deadline_s:
        try:
            pid, _status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(0.02)


if __name__ == "__main__":
    main()
