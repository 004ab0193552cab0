"""`vagrant up` on the Vagrantfile as it stands, with a box of our own under an emulated processor: `make test-vagrant`.

Half an hour or so. Printed as it comes, because its words are what a person at the keyboard would see. Of the tests on demand
some run: all of them would take hours on such a processor, and do run on another machine (tests/vm).
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.distribution import REPOSITORY, build_wheel
from tests.testbed.vagrant import box
from tests.testbed.vagrant.isolated_libvirt import VIRSH, IsolatedLibvirt, isolated_libvirt
from tests.vm.machine import show

UP_TIMEOUT_S = 5400.0
STEP_TIMEOUT_S = 1800.0
HOSTS = ("master", "agent1", "agent2")
# Two emulated processors wait for each other whenever this host has something else to do.
SIZE = ("CPUS=1", "MEMORY=1024")
PLAIN = "tests/kernel/launch/test_plain.py"
ON_DEMAND = ("test_exit_code_and_output", "test_limits_are_in_force_while_it_runs", "test_signal_is_reported")
SLOWER = 30
TO_TRY = (
    ("paddock agents", "agent1"),
    ("paddock run", "hello from agent"),
    ("paddock ps -a", "finished"),
    ("paddock doctor", "fine"),
)
"""The commands that `vagrant up` says at its end, and what each of them tells."""

pytestmark = [pytest.mark.vagrant, pytest.mark.timeout(UP_TIMEOUT_S + 3 * STEP_TIMEOUT_S)]


class Project:
    """A copy of this tree: Vagrant writes beside its file."""

    def __init__(self, libvirt: IsolatedLibvirt) -> None:
        self.libvirt = libvirt
        self.said_at_the_end: list[str] = []
        """The commands that `vagrant up` tells people to try."""
        self.directory = libvirt.directory / "paddock"
        shutil.copytree(
            REPOSITORY,
            self.directory,
            symlinks=True,
            ignore=lambda _directory, names: {
                name for name in names if name.startswith(".") or name in {"build", "dist", "__pycache__"}
            },
        )
        (self.directory / "dist").mkdir()
        self._wheel = f"dist/{build_wheel(self.directory / 'dist').name}"

    def vagrant(self, *words: str, settings: tuple[str, ...] = (), timeout_s: float = STEP_TIMEOUT_S) -> str:
        return self.shell(shlex.join(["vagrant", *words]), settings=settings, timeout_s=timeout_s)

    def shell(self, line: str, *, settings: tuple[str, ...] = (), timeout_s: float = STEP_TIMEOUT_S) -> str:
        print(f"\n$ {shlex.join(settings)} {line}", flush=True)
        command = ["env", *SIZE, f"PADDOCK={self._wheel}", *settings, "sh", "-c", line]
        return self.libvirt.run(*command, cwd=self.directory, on_output=show, timeout_s=timeout_s)

    def on(self, host: str, script: str) -> str:
        return self.vagrant("ssh", host, "-c", script)


@pytest.fixture(scope="module")
def up(request: pytest.FixtureRequest) -> Iterator[Project]:
    """The three of them, one after the other: together they would fight over the processors that emulate them."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    packed = box.box()
    with (
        capture.global_and_fixture_disabled(),
        tempfile.TemporaryDirectory(prefix="paddock-vagrant-") as name,
        isolated_libvirt(Path(name)) as libvirt,
    ):
        project = Project(libvirt)
        project.vagrant("box", "add", "--name", box.NAME, str(packed))
        begun_s = time.monotonic()
        told = project.vagrant("up", "--no-parallel", timeout_s=UP_TIMEOUT_S)
        project.said_at_the_end = re.findall(r"(vagrant ssh \w+ -c .*)", told)
        print(f"\nup after {time.monotonic() - begun_s:.0f} s", flush=True)
        yield project
        project.vagrant("destroy", "--force")
        project.vagrant("box", "remove", box.NAME)
        assert libvirt.run(*VIRSH, "list", "--all", "--name").split() == []
        assert libvirt.run(*VIRSH, "net-list", "--all", "--name").split() == []
        # Of each box Vagrant keeps what the disks were made from.
        volumes = libvirt.run(*VIRSH, "vol-list", "default")
        assert not [host for host in HOSTS if f"_{host}.img" in volumes], volumes


def test_the_agents_are_there_and_each_runs_a_task(up: Project) -> None:
    until = "until [ $(paddock agents -o json | grep -c AGENT_ACTIVE) = 2 ]; do sleep 2; done; paddock agents"
    told = up.on("master", until)
    assert all(host in told for host in HOSTS[1:])
    # Each takes most of an agent, so the second finds no room beside the first.
    first = "nohup paddock run --cpus=0.75 -- sh -c 'hostname; exec sleep 10000' >first 2>first.words </dev/null &"
    second = "until grep agent first; do sleep 1; done; paddock run --cpus=0.75 -- hostname"
    seen = up.on("master", f"{first} {second}").split()
    assert sorted(word for word in seen if word in HOSTS) == ["agent1", "agent2"]
    tasks = json.loads(up.on("master", "paddock ps -a -o json"))
    assert sorted(task["state"] for task in tasks) == ["TASK_FINISHED", "TASK_RUNNING"]


def test_what_it_says_to_try_works(up: Project) -> None:
    assert len(up.said_at_the_end) == len(TO_TRY)
    for line, (command, told) in zip(up.said_at_the_end, TO_TRY, strict=True):
        assert command in line
        assert told in up.shell(line)


def test_the_tests_on_demand_run_as_root_on_an_agent(up: Project) -> None:
    chosen = " ".join(f"{PLAIN}::{name}" for name in ON_DEMAND)
    settings = (f"TESTS=--timeout={STEP_TIMEOUT_S:.0f} {chosen}", f"PADDOCK_TEST_TIME_SCALE={SLOWER}")
    told = up.vagrant("provision", "agent1", "--provision-with", "test", settings=settings)
    assert f"{len(ON_DEMAND)} passed" in told
