"""`vagrant up` on the Vagrantfile as it stands, with a box of our own under an emulated processor: `make test-vagrant`.

Half an hour or so. Printed as it comes, because its words are what a person at the keyboard would see.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.distribution import REPOSITORY
from tests.testbed.vagrant import box
from tests.testbed.vagrant.isolated_libvirt import VIRSH, IsolatedLibvirt, isolated_libvirt
from tests.vm.machine import show

UP_TIMEOUT_S = 5400.0
STEP_TIMEOUT_S = 1800.0
HOSTS = ("master", "agent1", "agent2")

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

    def vagrant(self, *words: str, timeout_s: float = STEP_TIMEOUT_S, tests: str = "tests/kernel") -> str:
        print(f"\n$ vagrant {' '.join(words)}", flush=True)
        command = ["env", f"TESTS={tests}", "vagrant", *words]
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
    first = "nohup paddock run --cpus=1.5 -- sh -c 'hostname; exec sleep 10000' >first 2>first.words </dev/null &"
    second = "until grep agent first; do sleep 1; done; paddock run --cpus=1.5 -- hostname"
    seen = up.on("master", f"{first} {second}").split()
    assert sorted(word for word in seen if word in HOSTS) == ["agent1", "agent2"]
    tasks = json.loads(up.on("master", "paddock ps -a -o json"))
    assert sorted(task["state"] for task in tasks) == ["TASK_FINISHED", "TASK_RUNNING"]


def test_what_it_says_to_try_works(up: Project) -> None:
    assert len(up.said_at_the_end) == 4
    for line in up.said_at_the_end[:3]:
        print(f"\n$ {line}", flush=True)
        told = up.libvirt.run("sh", "-c", line, cwd=up.directory, on_output=show, timeout_s=STEP_TIMEOUT_S)
        assert re.search("hello from agent|AGENT|TASK", told)


def test_the_tests_on_demand_run_as_root_on_an_agent(up: Project) -> None:
    told = up.vagrant("provision", "agent1", "--provision-with", "test", tests="tests/kernel/launch/test_plain.py")
    assert " passed" in told
