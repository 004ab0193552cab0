"""The virtual machine itself: what it says of commands, and that it leaves nothing behind."""

from __future__ import annotations

import pytest

from tests.vm.machine import CgroupLayout, Machine, MachineError, booted

pytestmark = pytest.mark.timeout(480)


def test_a_command_gives_its_output_as_it_comes_and_its_exit_code(machine: Machine) -> None:
    pieces: list[str] = []
    finished = machine.run(["sh", "-c", "echo one; sleep 1; echo two >&2; exit 7"], on_output=pieces.append)
    assert (finished.exit_code, finished.output, pieces) == (7, "one\ntwo\n", ["one\n", "two\n"])


def test_a_signal_is_told_and_standard_input_arrives(machine: Machine) -> None:
    assert machine.run(["sh", "-c", "kill -9 $$"]).exit_code == -9
    assert machine.run(["wc", "-c"], stdin=bytes(200_000)).checked() == "200000\n"


def test_a_command_that_does_not_exist_is_127(machine: Machine) -> None:
    finished = machine.run(["/no/such/program"])
    assert finished.exit_code == 127
    assert "/no/such/program" in finished.output


def test_a_command_past_its_time_is_killed_and_the_machine_goes_on(machine: Machine) -> None:
    with pytest.raises(MachineError, match=r"time-out while running .*'sleep', '4321'"):
        machine.run(["sleep", "4321"], timeout_s=0.5)
    assert machine.run(["pgrep", "-f", "sleep 4321"]).exit_code == 1


def test_this_tree_and_these_packages_are_inside(machine: Machine) -> None:
    script = "import pytest, tests.vm.guest; print(pytest.__version__, tests.vm.guest.__file__)"
    seen = machine.run(["python3", "-c", script]).checked().split()
    assert seen == [pytest.__version__, "/paddock/tree/tests/vm/guest.py"]


@pytest.mark.long
def test_the_same_image_boots_with_cgroup_v1() -> None:
    with booted(CgroupLayout.V1) as machine:
        mounted = machine.run(["findmnt", "-n", "-t", "cgroup", "-o", "TARGET"]).checked().split()
        assert {"/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/pids"} <= set(mounted)
        assert machine.run(["findmnt", "-n", "-t", "cgroup2"]).output == ""
