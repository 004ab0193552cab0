"""A shim whose container its list has ended waits for another order, and has nothing of the last one any more."""

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from paddock.kernel.call_runner import CallRunner
from paddock.kernel.errors import KernelError
from paddock.kernel.mapping import ADDRESS, WAITING_ADDRESS
from paddock.kernel.syscalls import MACHINE
from paddock.launch.init_maker import InitMaker
from paddock.launch.record import temporary_path
from tests.children import children_of
from tests.descriptors import descriptors_of
from tests.kernel.launch.running import (
    BASE_PYTHON,
    Agent,
    Json,
    agent,
    is_running,
    memory_of,
    wait_for,
    without_capability,
)

pytestmark = pytest.mark.usefixtures("unhurried")
NO_NAMESPACES: Json = {"namespaces": [], "mounts": []}


def shim_of(own: Agent, argv: list[str], **changes: object) -> int:
    """The one that has carried it out; it waits again, or is gone."""
    record: Json = own.run(argv, **changes).record()
    wait_for(lambda: own.ping()["shims"] == 0, "the launcher does not hear that it is free")
    return int(record["shim_pid"])


def test_one_shim_after_another_container(own: Agent) -> None:
    pids = {shim_of(own, ["sh", "-c", f"echo {number}"]) for number in range(10)}
    assert len(pids) == 1
    assert [shim.stdout() for shim in own.shims] == [b"%d\n" % number for number in range(10)]


def test_it_keeps_neither_memory_nor_descriptor_nor_namespace(own: Agent) -> None:
    secret = f"swordfish{time.monotonic_ns()}"
    pid = shim_of(own, ["sh", "-c", "echo out; sleep 0.01"], environment={"PATH": "/bin", "SECRET": secret})
    assert secret.encode() not in memory_of(pid)
    assert b"paddock-shim" in memory_of(pid)
    for _ in range(3):
        shim_of(own, ["true"])
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert f"{ADDRESS:x}-" not in maps
    assert f"{WAITING_ADDRESS:x}-" in maps
    # The standard ones, /dev/null, and the socket at which it waits.
    found = descriptors_of(pid)
    assert sorted(found, key=int) == ["0", "1", "2", "3", "4"]
    assert found["3"] == "/dev/null"
    assert found["4"].startswith("socket:")
    for name in ("pid", "pid_for_children", "mnt", "ipc", "net", "user"):
        assert os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/{own.process.pid}/ns/{name}")
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


def test_what_it_launches_next_may_have_no_namespaces(own: Agent) -> None:
    first = shim_of(own, ["true"])
    shim = own.launch(["sh", "-c", "readlink /proc/self/ns/pid"], **NO_NAMESPACES)
    assert shim.record()["shim_pid"] == first
    assert shim.stdout().decode().strip() == os.readlink("/proc/self/ns/pid")


@pytest.mark.parametrize(
    ("argv", "changes"),
    [
        (["sh", "-c", "sleep 1000 & exit 0"], {}),
        (["/no/such/command"], {}),
        (["true"], NO_NAMESPACES),
        (["true"], {"max_completion_ms": 60000}),
    ],
    ids=["left behind", "failed", "no namespaces", "a limit of time"],
)
def test_one_in_which_python_has_run_ends_with_its_container(
    own: Agent, argv: list[str], changes: dict[str, object]
) -> None:
    used = shim_of(own, ["true"])
    shim = own.launch(argv, **changes)
    shim.wait_end_of_connection()
    wait_for(lambda: not is_running(used), "it stays")
    assert own.run(["true"]).record()["wait_status"] == 0


def test_one_that_dies_while_it_waits_again_costs_nothing(own: Agent) -> None:
    used = shim_of(own, ["true"])
    own.process.send_signal(signal.SIGSTOP)
    os.kill(used, signal.SIGKILL)
    wait_for(lambda: not is_running(used), "it stays")
    own.process.send_signal(signal.SIGCONT)
    assert own.run(["true"]).record()["wait_status"] == 0
    assert "event=shim-lost" not in own.log()


def test_it_ends_with_its_launcher(own: Agent) -> None:
    used = shim_of(own, ["true"])
    own.kill_launcher()
    wait_for(lambda: not is_running(used), "it stays")
    own.start()


@pytest.mark.no_cgroups
def test_its_launcher_dies_while_it_has_a_container(own: Agent) -> None:
    used = shim_of(own, ["true"])
    shim = own.launch(["sh", "-c", "until [ -e go ]; do sleep 0.01; done; exit 3"])
    assert shim.started()["shim_pid"] == used
    own.kill_launcher()
    own.start()
    (Path(shim.plan["sandbox"]) / "go").touch()
    assert os.waitstatus_to_exitcode(shim.record()["wait_status"]) == 3
    wait_for(lambda: not is_running(used), "it stays")


@pytest.mark.no_cgroups
def test_those_that_are_too_many_end() -> None:
    with agent(flags=("--pool-size=2",)) as own:
        shims = [own.launch(["sh", "-c", "until [ -e go ]; do sleep 0.01; done"]) for _ in range(10)]
        pids = {shim.started()["shim_pid"] for shim in shims}
        assert len(pids) == 10
        for shim in shims:
            (Path(shim.plan["sandbox"]) / "go").touch()
        for shim in shims:
            assert shim.record()["wait_status"] == 0
        wait_for(lambda: sum(is_running(pid) for pid in pids) <= 4, "they stay")
        assert own.run(["true"]).record()["wait_status"] == 0


# Its children are the shim's: they end at once, and only the shim could take them.
STRANGE_CHILDREN = """
import ctypes, os, struct
arguments = struct.pack("11Q", 0x8000, *(0,) * 10)
for _ in range(2):
    if ctypes.CDLL(None).syscall(435, arguments, len(arguments)) == 0:
        os._exit(0)
"""


# A command of root's may give its session keyring to its parent, and that is its shim.
KEYRING_FOR_ITS_SHIM = """
import ctypes, platform, sys
libc = ctypes.CDLL(None, use_errno=True)
add, control = {"x86_64": (248, 250), "aarch64": (217, 219)}[platform.machine()]
word = sys.argv[1].encode()
added = libc.syscall(add, b"user", word, b"secret", 6, -3)
print(ctypes.get_errno() if added < 0 else libc.syscall(control, 18))
"""


@pytest.mark.no_cgroups
def test_it_keeps_no_keyring_that_a_command_has_made_its_own(own: Agent) -> None:
    used, key = shim_of(own, ["true"]), f"swordfish{time.monotonic_ns()}"
    shim = own.run([BASE_PYTHON, "-I", "-S", "-c", KEYRING_FOR_ITS_SHIM, key])
    assert shim.record()["shim_pid"] == used
    wait_for(lambda: own.ping()["shims"] == 0, "its container stays")
    assert is_running(used)
    code = int(shim.stdout())
    assert code in {0, errno.ENOSYS, errno.EPERM}
    # The kernel collects keys when nobody has them any more; one without keyrings has no such file.
    wait_for(lambda: bool(code) or key not in Path("/proc/keys").read_text(), "the key stays")


def test_children_that_a_command_has_made_for_its_shim_leave_nothing(own: Agent) -> None:
    used = shim_of(own, ["true"])
    record = own.run([BASE_PYTHON, "-c", STRANGE_CHILDREN]).record()
    assert (record["shim_pid"], record["wait_status"]) == (used, 0)
    wait_for(lambda: not Path(f"/proc/{used}").exists(), "it stays, and with it what nobody has taken")
    wait_for(lambda: own.ping()["shims"] == 0, "its container stays")
    assert "event=shim-lost" not in own.log()


def test_python_that_has_had_its_list_carried_out_once_more_ends_with_it(own: Agent) -> None:
    """The agent's cgroups are gone: Python makes them, and has the list carried out from its beginning to its end."""
    used = shim_of(own, ["true"])
    roots = list(dict.fromkeys(own.machine.roots(own.agent_id).values()))
    if own.machine.is_v2:
        Path(roots[0], "cgroup.subtree_control").write_text("-memory -pids -cpu")
    else:
        for root in roots:
            os.rmdir(root)
    assert own.run(["true"]).record()["shim_pid"] == used
    wait_for(lambda: not is_running(used), "it waits for another order")
    assert "event=shim-lost" not in own.log()
    assert own.run(["true"]).record()["wait_status"] == 0


@pytest.mark.no_cgroups
def test_one_that_dies_with_an_order_that_it_has_not_read(own: Agent) -> None:
    used = shim_of(own, ["true"])
    os.kill(used, signal.SIGSTOP)
    lost = own.launch(["true"])
    wait_for(lambda: own.ping()["shims"] == 1, "it is not ordered")
    os.kill(used, signal.SIGKILL)
    lost.wait_end_of_connection()
    wait_for(lambda: "event=swept" in own.log(), "nobody sweeps")
    assert not Path(temporary_path(lost.plan["record"])).exists()
    assert own.run(["true"]).record()["wait_status"] == 0
    assert own.ping()["pid"] == own.process.pid


def wait_for_the_pool(own: Agent) -> None:
    """Eight inits, eight shims, and the template; not by asking for them: a launcher that is asked is not idle."""
    wait_for(lambda: sum(map(is_running, children_of(own.process.pid))) >= 17, "the pool does not fill")


@pytest.mark.no_cgroups
def test_the_launcher_keeps_nothing_of_what_is_over(own: Agent) -> None:
    shim_of(own, ["true"])
    wait_for_the_pool(own)
    before = len(descriptors_of(own.process.pid))
    for _ in range(30):
        shim_of(own, ["true"])
    wait_for_the_pool(own)
    # A shim and an init more may have been made meanwhile; what is kept of each launch would be thirty.
    assert len(descriptors_of(own.process.pid)) < before + 10


@pytest.mark.no_cgroups
def test_where_no_init_can_be_made_shims_wait_and_the_launcher_is_quiet() -> None:
    begun_s = time.monotonic()
    with agent(before=without_capability("CAP_SYS_ADMIN")) as running:
        wait_for(lambda: "refill-failed" in running.log(), "no refill")
        # The template, and a shim.
        wait_for(lambda: len(children_of(running.process.pid)) >= 2, "no shim waits")
        refused = running.launch(["true"]).failed()
        assert (refused["stage"], refused["operation"]) == ("namespace", "unshare")
        assert running.run(["true"], **NO_NAMESPACES).record()["wait_status"] == 0
        time.sleep(2.5)
        # A second is between two of them, and more where nothing else can be made: the count is read before the clock is.
        count = running.log().count("refill-failed")
        assert count <= time.monotonic() - begun_s + 1


@pytest.mark.no_cgroups
def test_an_init_that_cannot_be_executed_is_told(tmp_path: Path) -> None:
    runner = CallRunner(MACHINE)
    before, children = descriptors_of(os.getpid()).items(), children_of(os.getpid())
    maker = InitMaker(runner, MACHINE, str(tmp_path))
    # Threads of other tests may open and close theirs meanwhile.
    new = descriptors_of(os.getpid()).items() - before
    (program,) = (number for number, target in new if "paddock-init" in target or "still-init" in target)
    init = maker.make()
    os.close(init.lifeline_fd)
    os.waitpid(init.pid, 0)
    os.close(int(program))
    for _ in range(2):
        with pytest.raises(KernelError, match=f"execve /proc/self/fd/{program}"):
            maker.make()
        for child in children_of(os.getpid()) - children:
            os.waitpid(child, 0)
    os.close(init.pidfd)
    wait_for(lambda: descriptors_of(os.getpid()).items() <= before, "it keeps a descriptor")
