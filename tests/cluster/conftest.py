"""A one-host cluster for a module's tests, and the `paddock` command to speak with it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from testbed.one_host import OneHost

PADDOCK = os.path.join(os.path.dirname(sys.executable), "paddock")

# Another user may not be able to go where this tree stands, in root's home for example: so all is imported first.
_AS_USER = """
import importlib, os, pkgutil, sys
import paddock
for module in pkgutil.walk_packages(paddock.__path__, "paddock."):
    importlib.import_module(module.name)
from paddock.cli.__main__ import main
user, group, *words = sys.argv[1:]
os.setgroups([])
os.setgid(int(group))
os.setuid(int(user))
os.chdir("/")
sys.exit(main(words))
"""


# What `paddock run` says where a busy machine offers nothing for some seconds.
_LATE_OFFER = re.compile(rb"^paddock run: waiting for an offer .*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`paddock` as a person has it: a process of its own, PADDOCK_MASTER set."""

    host: OneHost

    def __call__(
        self, *words: str, stdin: bytes = b"", timeout_s: float = 120, user: int | None = None, group: int | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """`user`: as whom, in no group but `group`, which is its own by default."""
        command = [PADDOCK]
        if user is not None:
            command = [sys.executable, "-c", _AS_USER, str(user), str(user if group is None else group)]
        done = subprocess.run(
            [*command, *words],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=timeout_s,
            env=self.environment,
        )
        done.stderr = _LATE_OFFER.sub(b"", done.stderr)
        return done

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PADDOCK_MASTER": self.host.master_address}

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [PADDOCK, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )

    def text(self, *words: str) -> str:
        """stdout of what must succeed without a word on stderr."""
        done = self(*words)
        assert done.returncode == 0, (words, done.stderr)
        assert done.stderr == b"", (words, done.stderr)
        return done.stdout.decode()

    def until_registered(self) -> None:
        """A daemon was started anew."""
        deadline_s = time.monotonic() + 60
        while [agent["state"] for agent in json.loads(self.text("agents", "-o", "json"))] != ["AGENT_ACTIVE"]:
            assert time.monotonic() < deadline_s, self.text("agents")
            time.sleep(0.05)

    def task(self, name: str, *states: str) -> str:
        """The id of the task of this name, once it is in one of these states."""
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            for task in json.loads(self.text("ps", "-a", "-o", "json")):
                if task["task"].get("name") == name and task["state"].removeprefix("TASK_").lower() in states:
                    return str(task["task"]["task_id"])
            time.sleep(0.05)
        raise AssertionError(f"no task {name} became {states}: {self.text('ps', '-a', '-o', 'wide')}")


@dataclass(slots=True)
class Background:
    """A `paddock run` that goes on while others look; ended by Ctrl-C, twice, whatever it does."""

    process: subprocess.Popen[bytes]
    task_id: str

    def end(self) -> None:
        for _ in range(2):
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGINT)
                time.sleep(0.1)
        self.process.communicate(timeout=60)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell that starts the suite in the background has SIGINT ignored in it, and what is ignored is inherited: our
    commands would not hear their Ctrl-C.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def cluster() -> Iterator[OneHost]:
    host = OneHost.make()
    try:
        host.start()
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="module")
def paddock(cluster: OneHost) -> Command:
    return Command(host=cluster)


@pytest.fixture
def sleeper(paddock: Command, request: pytest.FixtureRequest) -> Iterator[Background]:
    """A task that says hello on both outputs and sleeps, named after the test."""
    name = request.node.name.replace("[", "-").rstrip("]")[:60]
    process = paddock.start(
        "run", f"--name={name}", "--cpus=0.2", "--mem=48MiB", "--disk=64MiB", "--pids=50",
        "--", "/bin/sh", "-c", "echo hello; echo trouble >&2; while :; do sleep 0.1; done",
    )  # fmt: skip
    background = Background(process=process, task_id="")
    try:
        background.task_id = paddock.task(name, "running")
        for stream, words in ((process.stdout, b"hello\n"), (process.stderr, b"trouble\n")):
            assert stream is not None
            assert words in iter(stream.readline, b"")
        yield background
    finally:
        background.end()
