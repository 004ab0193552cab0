"""Runs a real launcher and real containers for the tests, on whichever cgroup version this machine has."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from paddock.kernel.capabilities import NUMBERS
from paddock.kernel.descriptors import make_sealed_memfd
from paddock.kernel.mounts import V2, read_hierarchy
from paddock.kernel.processes import open_pidfd
from paddock.launch import record as records
from paddock.launch import report
from paddock.launch.plan_file import seal

ROOT = Path(__file__).resolve().parents[3]
SCALE = float(os.environ.get("PADDOCK_TEST_TIME_SCALE", "1"))
# A busy machine stalls for seconds, and what comes late has come: none of these tests is about how soon.
PATIENCE_S = 30 * SCALE
_PR_CAPBSET_DROP = 24
DOCKER_CAPABILITIES = [
    f"CAP_{name}"
    for name in [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
]
V1_CONTROLLERS = ("cpu", "cpuacct", "memory", "pids")
BASE_PYTHON = os.path.realpath(sys.executable)

Json = dict[str, Any]


class Machine:
    """Where cgroups are, and how the limits used in tests are named."""

    def __init__(self) -> None:
        self.hierarchy = read_hierarchy()
        self.is_v2 = self.hierarchy.mode == V2

    def roots(self, agent_id: str) -> dict[str, str]:
        if self.is_v2:
            return {"": f"{self.hierarchy.unified}/paddock-{agent_id}"}
        return {c: f"{self.hierarchy.controllers[c]}/paddock-{agent_id}" for c in V1_CONTROLLERS}

    def place(self, agent_id: str, container_id: str) -> Json:
        directories = {c: f"{root}/{container_id}" for c, root in self.roots(agent_id).items()}
        return {"mode": "v2" if self.is_v2 else "v1", "directories": directories}

    def limits(self, *, memory_bytes: int = 256 << 20, pids: int = 100, shares: int = 512) -> list[Json]:
        if self.is_v2:
            return [
                {"controller": "memory", "file": "memory.max", "value": str(memory_bytes)},
                {"controller": "memory", "file": "memory.swap.max", "value": "0", "optional": True},
                {"controller": "cpu", "file": "cpu.weight", "value": str(max(shares * 100 // 1024, 1))},
                {"controller": "pids", "file": "pids.max", "value": str(pids)},
            ]
        return [
            {"controller": "memory", "file": "memory.limit_in_bytes", "value": str(memory_bytes)},
            {
                "controller": "memory",
                "file": "memory.memsw.limit_in_bytes",
                "value": str(memory_bytes),
                "optional": True,
            },
            {"controller": "cpu", "file": "cpu.shares", "value": str(shares)},
            {"controller": "pids", "file": "pids.max", "value": str(pids)},
        ]

    @property
    def memory_limit(self) -> tuple[str, str]:
        return ("memory", "memory.max" if self.is_v2 else "memory.limit_in_bytes")

    @property
    def oom_events(self) -> Json:
        return {"controller": "memory", "file": "memory.events" if self.is_v2 else "memory.oom_control"}

    def final_reads(self) -> list[Json]:
        return [self.oom_events, {"controller": "pids", "file": "pids.events"}]


def read_record(plan: Json) -> Json:
    """As it stands on the disk, whoever wrote it."""
    record = records.read_json(plan["record"])
    assert record is not None, f"no record at {plan['record']}"
    return record


class Shim:
    """One launched container, seen from the agent's end of its control connection."""

    def __init__(self, control: socket.socket, plan: Json) -> None:
        self.control = control
        self.plan = plan
        self.events: list[Json] = []
        self.others: list[Shim] = []
        self._answers: dict[int, Json] = {}
        self._seq = 0

    def receive(self) -> Json | None:
        self.control.settimeout(PATIENCE_S)
        try:
            content = self.control.recv(300_000)
        except ConnectionResetError:
            return None
        message: Json = report.decode_message(content) if content else {}
        return message or None

    def _take(self) -> bool:
        message = self.receive()
        if message is None:
            return False
        if "answer" in message:
            self._answers[message["seq"]] = message
        else:
            self.events.append(message)
        return True

    def wait_event(self, name: str) -> Json:
        while True:
            for event in self.events:
                if event["event"] == name:
                    return event
            if not self._take():
                raise AssertionError(f"the connection ended without {name}: {self.events}")

    def started(self) -> Json:
        return self.wait_event("started")

    def record(self) -> Json:
        record: Json = self.wait_event("exited")["record"]
        return record

    def failed(self) -> Json:
        return self.wait_event("failed")

    def ask(self, op: str, fds: list[int] | None = None, **fields: Any) -> Json:
        return self.answer(self.tell(op, fds, **fields))

    def tell(self, op: str, fds: list[int] | None = None, **fields: Any) -> int:
        """Without waiting for its `answer`, which bears this number."""
        self._seq += 1
        socket.send_fds(self.control, [json.dumps({"op": op, "seq": self._seq, **fields}).encode()], fds or [])
        return self._seq

    def answer(self, number: int) -> Json:
        while number not in self._answers:
            assert self._take(), f"the connection ended without the answer {number}: {self.events}"
        return self._answers.pop(number)

    def wait_end_of_connection(self) -> None:
        while self._take():
            pass

    def wait_record_file(self) -> Json:
        path = Path(self.plan["record"])
        wait_for(path.exists, f"no record at {path}")
        return read_record(self.plan)

    def stdout(self) -> bytes:
        path = Path(self.plan["sandbox"]) / "stdout"
        return path.read_bytes() if path.exists() else b""

    def stderr(self) -> bytes:
        return (Path(self.plan["sandbox"]) / "stderr").read_bytes()

    def directory(self, controller: str) -> Path:
        directories = self.plan["cgroup"]["directories"]
        return Path(directories.get(controller) or directories[""])

    def cgroups(self) -> list[str]:
        return [path for path in self.plan["cgroup"]["directories"].values() if Path(path).exists()]

    def connect_ear(self) -> Shim:
        wait_for(lambda: os.path.exists(self.plan["socket"]), "no ear")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(self.plan["socket"])
        other = Shim(connection, self.plan)
        self.others.append(other)
        return other


def without_capability(name: str) -> str:
    """For `before`: nor has any program that it becomes."""
    return f"import ctypes; assert ctypes.CDLL(None).prctl({_PR_CAPBSET_DROP}, {NUMBERS[name]}, 0, 0, 0) == 0"


def becoming(before: str) -> list[str]:
    """Words that stand before those of a program: Python does this, and becomes it."""
    if not before:
        return []
    # What Python itself ignores would stay ignored.
    last = "import os, signal, sys; [signal.signal(n, signal.SIG_DFL) for n in (signal.SIGPIPE, signal.SIGXFSZ)]"
    return [BASE_PYTHON, "-I", "-S", "-c", f"{before}\n{last}\nos.execv(sys.argv[1], sys.argv[1:])"]


class Agent:
    """A launcher's parent: starts it, sends it plans, and sees that nothing stays."""

    def __init__(self, agent_id: str = "", machine: Machine | None = None, **start: Any) -> None:
        self.machine = machine or Machine()
        self.agent_id = agent_id or f"test{os.getpid()}x{time.monotonic_ns() % 1_000_000}"
        self.directory = Path(tempfile.mkdtemp(prefix="paddock-test-"))
        self.directory.chmod(0o711)
        (self.directory / "records").mkdir(mode=0o700)
        self.socket = str(self.directory / "launcher.sock")
        self.count = 0
        self.shims: list[Shim] = []
        self.facts: Json | None = None
        self.start_options = start
        self.start(**start)

    def start(self, flags: tuple[str, ...] = (), *, before: str = "", **options: Any) -> None:
        """`before`: what the process does before it becomes the launcher, in Python. (Popen's preexec_fn runs what gRPC has
        registered for forks, whatever its threads are doing: now and then that hangs.)
        """
        code = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from paddock.launch.launcher import main; main()"
        roots = [f"--cgroup-root={root}" for root in dict.fromkeys(self.machine.roots(self.agent_id).values())]
        arguments = ["--socket", self.socket, "--agent-id", self.agent_id, *roots, *flags]
        options.setdefault("env", {"LD_BIND_NOW": "1", "PADDOCK_LAUNCHER_TRACEBACK": "1"})
        with (self.directory / "launcher.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*becoming(before), BASE_PYTHON, "-I", "-S", "-c", code, *arguments],
                **{"stdout": log, "stderr": log, "stdin": log, **options},
            )
        wait_for(self.is_ready, "the launcher does not answer: " + self.log())

    def log(self) -> str:
        return (self.directory / "launcher.log").read_text()

    def is_ready(self) -> bool:
        try:
            return bool(self.ping()["pid"] == self.process.pid)
        except OSError:
            return False

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(PATIENCE_S)
        try:
            connection.connect(self.socket)
        except OSError:
            connection.close()
            raise
        return connection

    def ping(self) -> Json:
        with self.connect() as connection:
            connection.send(b'{"op":"ping"}')
            answer: Json = json.loads(connection.recv(4096))
            return answer

    def plan(self, argv: list[str], **changes: Any) -> Json:
        self.count += 1
        container_id = changes.pop("container_id", f"c{self.count}")
        sandbox = self.directory / f"sandbox-{container_id}"
        user = changes.get("user", {"uid": 0, "gid": 0, "groups": []})
        if not sandbox.exists():
            sandbox.mkdir(mode=0o755)
            os.chown(sandbox, user["uid"], user["gid"])
        limits = changes.pop("limits", {})
        return {
            "format": 1,
            "agent_id": self.agent_id,
            "container_id": container_id,
            "record": str(self.directory / "records" / container_id),
            "socket": str(self.directory / f"{container_id}.ear"),
            "cgroup": self.machine.place(self.agent_id, container_id),
            "writes": self.machine.limits(**limits),
            "final_reads": self.machine.final_reads(),
            "oom_events": self.machine.oom_events,
            "namespaces": ["pid", "mnt", "ipc"],
            "mounts": [
                {
                    "source": "proc",
                    "target": "/proc",
                    "type": "proc",
                    "flags": ["nosuid", "nodev", "noexec"],
                    "data": "",
                }
            ],
            "sandbox": str(sandbox),
            "stdout": "stdout",
            "stderr": "stderr",
            "argv": argv,
            "environment": {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            "user": user,
            "capabilities": {
                "bounding": DOCKER_CAPABILITIES,
                "effective": DOCKER_CAPABILITIES if user["uid"] == 0 else [],
                "ambient": [],
            },
            "no_new_privs": True,
            "rlimits": [],
            "umask": 0o022,
            "nice": 0,
            "oom_score_adj": 0,
            "kill": {"signal": 15, "grace_ms": 3000},
            "max_completion_ms": None,
            "barrier": False,
            **changes,
        }

    def launch(self, argv: list[str], **changes: Any) -> Shim:
        return self.launch_plan(self.plan(argv, **changes))

    def launch_plan(self, plan: Json) -> Shim:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memfd = make_sealed_memfd("plan", self.sealed(plan))
        with self.connect() as connection, theirs:
            socket.send_fds(connection, [b'{"format":1,"op":"launch"}'], [memfd, theirs.fileno()])
        os.close(memfd)
        shim = Shim(ours, plan)
        self.shims.append(shim)
        return shim

    def with_facts(self, plan: Json) -> Json:
        if self.facts is None:
            self.facts = self.ping()["facts"]
        return {"launcher": self.facts, **plan}

    def sealed(self, plan: Json) -> bytes:
        return seal(self.with_facts(plan))

    def run(self, argv: list[str], **changes: Any) -> Shim:
        """Launch and wait for the end; `record()` then has it."""
        shim = self.launch(argv, **changes)
        shim.record()
        return shim

    def kill_launcher(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        for shim in self.shims:
            with contextlib.suppress(OSError, AssertionError):
                shim.control.send(b'{"op":"kill","seq":1,"grace_ms":0}')
                shim.wait_end_of_connection()
            for opened in (shim, *shim.others):
                opened.control.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        remove_parents_later(list(self.machine.roots(self.agent_id).values()))
        shutil.rmtree(self.directory)

    def assert_clean(self) -> None:
        """No cgroup of a container, no socket, no unfinished record is left; a sweep may be under way."""
        wait_for(lambda: not self._left(), f"left behind: {self._left()}; {self.log()}")

    def _left(self) -> list[str]:
        left = [
            str(path)
            for root in self.machine.roots(self.agent_id).values()
            for path in Path(root).glob("*/")
            if path.name != "launcher"
        ]
        left += [str(path) for path in self.directory.glob("*.ear")]
        left += [str(path) for path in (self.directory / "records").glob("*.new")]
        return left


def remove_parents_later(parents: list[str]) -> None:
    """The agent's own directories: on v2 the ended launcher may still be leaving its leaf."""

    def gone() -> bool:
        for parent in parents:
            for directory in (f"{parent}/launcher", parent):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
        return not any(os.path.exists(parent) for parent in parents)

    wait_for(gone, f"cannot remove {parents}")


def wait_for(condition: Callable[[], bool], message: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, message
        time.sleep(0.002)


def is_running(pid: int) -> bool:
    """Neither gone nor a zombie."""
    try:
        pidfd = open_pidfd(pid)
    except ProcessLookupError:
        return False
    try:
        return not select.select([pidfd], [], [], 0)[0]
    finally:
        os.close(pidfd)


def memory_of(pid: int) -> bytes:
    """All that can be read of a process's memory."""
    pieces = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if found and "[v" not in line:
                low, high = int(found[1], 16), int(found[2], 16)
                try:
                    pieces.append(os.pread(memory.fileno(), high - low, low))
                except OSError:
                    continue
    return b"".join(pieces)


@contextlib.contextmanager
def agent(**options: Any) -> Iterator[Agent]:
    """An agent whose launcher and containers are gone afterwards, whatever happened."""
    running = Agent(**options)
    try:
        yield running
        running.assert_clean()
    finally:
        running.close()
