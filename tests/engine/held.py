"""A container of the engine with the process that stands in for it, without agent and shim."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agentd.containerizer.docker import stand_in_command
from agentd.docker import ended_process
from agentd.docker.notes import Note, Notes
from agentd.docker.stand_in_order import order_words
from paddock.kernel import cgroup_files
from paddock.model.ids import ContainerId
from testbed.engine import images
from testbed.engine.engine import API_VERSION, PATIENCE_S, Engine
from tests.kernel.launch.running import becoming

C1 = ContainerId("c1")
COUNTING = "i=0; while test $i -lt 200; do i=$((i+1)); echo $i; sleep 0.005; done; echo end >&2"
COUNTED = b"".join(b"%d\n" % number for number in range(1, 201))


TELL_NOTHING = """
# As on a Linux before 6.15 there is no PIDFD_GET_INFO: a seccomp filter refuses that ioctl.
import ctypes, struct
load_request, jump, refuse, allow = (0x20, 0, 0, 24), (0x15, 0, 1, 0xC040FF0B), (6, 0, 0, 0x50019), (6, 0, 0, 0x7FFF0000)
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in (load_request, jump, refuse, allow)))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(code)))
assert ctypes.CDLL(None).prctl(22, ctypes.c_ulong(2), program, 0, 0) == 0
"""


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.01)


class Held:
    """A container of the engine and the process that stands in for it, whose pipes are ours as they would be a shim's.

    `is_told`: the kernel tells it how others have ended, as Linux does since 6.15.
    `counts`: it knows of the engine's cgroup, and finds the container's process there.
    """

    def __init__(
        self,
        engine: Engine,
        directory: Path,
        script: str,
        *,
        has_init: bool = False,
        socket: Path | None = None,
        counts: bool = True,
        is_told: bool = True,
    ) -> None:
        self.engine = engine
        self.notes = Notes(f"{directory}/notes")
        self.notes.make()
        with images.client(engine) as api:
            host = api.create_host_config(
                network_mode="none", init=has_init, mem_limit="64m", cgroup_parent=f"/{engine.name}/{C1}"
            )
            command = ["/bin/sh", "-c", script]
            created = api.create_container(images.BUSYBOX, command, host_config=host, stop_signal="SIGTERM")
        self.engine_id: str = created["Id"]
        directory_of = {point: f"/sys/fs/cgroup/{point}/{engine.name}/{C1}" for point in ("memory", "pids")}
        order = order_words(
            socket=str(socket or engine.socket),
            api=API_VERSION,
            go=self.notes.go_path(C1),
            wake=self.notes.wake_path(C1),
            note=self.notes.note_path(C1),
            reads=[
                ("memory/memory.oom_control", directory_of["memory"], "memory.oom_control"),
                ("pids/pids.events", directory_of["pids"], "pids.events"),
            ]
            if counts
            else [],
            has_init=has_init,
        )
        self.process = subprocess.Popen(
            [*becoming("" if is_told else TELL_NOTHING), *stand_in_command(order)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.output = {1: bytearray(), 2: bytearray()}
        self._is_deaf = threading.Event()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, number))
            for number, stream in ((1, self.process.stdout), (2, self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: object, number: int) -> None:
        fd = stream.fileno()  # type: ignore[attr-defined]
        while not self._is_deaf.is_set():
            if select.select([fd], [], [], 0.05)[0]:
                piece = os.read(fd, 65_536)
                if not piece:
                    return
                self.output[number] += piece

    def go(self) -> Held:
        self.notes.go(C1, self.engine_id)
        return self

    def said(self, words: bytes) -> Held:
        wait_for(lambda: words in self.output[1], f"it has not said {words!r}: {self.output}")
        return self

    def close_pipes(self) -> None:
        """As the end of a shim does."""
        self._is_deaf.set()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def end(self) -> int:
        code = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join()
        return code

    def logged(self) -> bytes:
        """Its stdout, as the engine has it: one that is killed loses what it has read and not written down."""
        with images.client(self.engine) as api:
            return bytes(api.logs(self.note().engine_id, stdout=True, stderr=False))

    def note(self) -> Note:
        found = self.notes.read(C1)
        assert found is not None
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.close_pipes()
        self.engine.heal()
        with images.client(self.engine) as api:
            api.remove_container(self.engine_id, force=True)


def first_in(held: Held) -> int:
    return ended_process.first_in(f"/sys/fs/cgroup/memory/{held.engine.name}/{C1}/{held.engine_id}")


Hold = Callable[..., Held]


@contextmanager
def holding(directory: Path) -> Iterator[Hold]:
    """Makes them; gone afterwards."""
    made: list[Held] = []

    def make(
        engine: Engine,
        script: str,
        *,
        has_init: bool = False,
        socket: Path | None = None,
        counts: bool = True,
        is_told: bool = True,
    ) -> Held:
        made.append(Held(engine, directory, script, has_init=has_init, socket=socket, counts=counts, is_told=is_told))
        return made[-1]

    yield make
    for each in made:
        each.close()
    for point in Path("/sys/fs/cgroup").iterdir():
        for each in made:
            cgroup_files.remove(str(point / each.engine.name / C1))
