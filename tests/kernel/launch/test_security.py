"""What root inside a container can reach, and what one task can learn of another."""

import json
import os
import time
from pathlib import Path

import pytest

from paddock.kernel.call_runner import CallRunner
from paddock.kernel.mapping import ADDRESS
from paddock.kernel.syscalls import MACHINE
from paddock.launch import still_init
from paddock.launch.init_maker import InitMaker
from tests.agentd_process import TIME_SCALE
from tests.descriptors import descriptors_of
from tests.kernel.launch.running import (
    BASE_PYTHON,
    DOCKER_CAPABILITIES,
    PATIENCE_S,
    SCALE,
    Agent,
    agent,
    memory_of,
    wait_for,
)

ATTACK = r"""
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
seen = {}

def attempt(name, action):
    try:
        seen[name] = action()
    except OSError as error:
        seen[name] = f"refused {error.errno}"

def read_memory():
    pages = {}
    for line in open("/proc/1/maps"):
        low, high = (int(part, 16) for part in line.split()[0].split("-"))
        pages[line.split(maxsplit=5)[-1].strip() if line.count(" ") > 4 else "?"] = high - low
    fd = os.open("/proc/1/mem", os.O_RDONLY)
    content = os.pread(fd, 4096, 0x400000)
    return [pages, content.hex()]

def ptrace():
    result = libc.ptrace(16, 1, 0, 0)
    if result:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(1, 0x40000000)
    libc.ptrace(17, 1, 0, 0)
    return "attached"

def steal():
    fd = libc.syscall(434, 1, 0)
    stolen = []
    for number in range(64):
        got = libc.syscall(438, fd, number, 0)
        if got >= 0:
            stolen.append(os.readlink(f"/proc/self/fd/{got}"))
    return stolen

attempt("root", lambda: [os.stat("/proc/1/root/").st_dev, os.stat("/proc/1/root/").st_ino])
attempt("own_root", lambda: [os.stat("/").st_dev, os.stat("/").st_ino])
attempt("cwd", lambda: os.readlink("/proc/1/cwd"))
attempt("fds", lambda: {fd: os.readlink(f"/proc/1/fd/{fd}") for fd in os.listdir("/proc/1/fd")})
attempt("environ", lambda: open("/proc/1/environ").read())
attempt("cmdline", lambda: open("/proc/1/cmdline").read())
attempt("memory", read_memory)
attempt("ptrace", ptrace)
attempt("pidfd_getfd", steal)
attempt("caps", lambda: [l.split()[1] for l in open("/proc/1/status") if l.startswith(("CapPrm", "CapEff", "CapInh"))])
attempt("kill", lambda: [os.kill(1, number) for number in (1, 2, 3, 9, 15, 17)] and "sent")
print(json.dumps(seen))
"""


@pytest.mark.parametrize("further", [(), ("CAP_SYS_PTRACE",)])
def test_pid_1_has_nothing_of_the_host(shared: Agent, further: tuple[str, ...]) -> None:
    names = [*DOCKER_CAPABILITIES, *further]
    sets = {"bounding": names, "effective": names, "ambient": []}
    shim = shared.run([BASE_PYTHON, "-I", "-S", "-c", ATTACK], capabilities=sets)
    assert shim.record()["wait_status"] == 0, shim.stderr()
    seen = json.loads(shim.stdout())

    assert seen["root"] == seen["own_root"]
    assert seen["cwd"] == "/"
    assert list(seen["fds"]) == ["0"]
    assert seen["fds"]["0"].startswith("pipe:")
    assert seen["environ"] == ""
    assert seen["cmdline"] == "paddock-init\0"
    pages, content = seen["memory"]
    program = sum(size for name, size in pages.items() if not name.startswith("["))
    assert program == 4096
    assert bytes.fromhex(content).startswith(b"\x7fELF")
    assert bytes.fromhex(content).rstrip(b"\0").endswith(bytes.fromhex("0f05")) or os.uname().machine != "x86_64"
    assert all(name.startswith("pipe:") for name in seen["pidfd_getfd"])
    assert len(seen["pidfd_getfd"]) <= 1
    assert seen["caps"] == ["0" * 16] * 3
    assert seen["kill"] == "sent"


@pytest.mark.no_cgroups
def test_an_init_has_no_capability_from_its_first_instruction_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task may trace it before it has given up any: here it is a program that never does, and waits as long."""
    monkeypatch.setattr(still_init, "bytes_for", lambda _machine: Path("/bin/sh").read_bytes())
    init = InitMaker(CallRunner(MACHINE), MACHINE, str(tmp_path)).make()
    until_s = time.monotonic() + 20 * TIME_SCALE
    try:
        while True:
            status = dict(line.split(":\t") for line in Path(f"/proc/{init.pid}/status").read_text().splitlines())
            has = {name for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if int(status[name], 16)}
            # An execve lets go of a parent that shares its memory before it gives the new capabilities; a tracer it keeps
            # waiting for both.
            if not has or time.monotonic() > until_s:
                break
        assert status["NSpid"].split() == [str(init.pid), "1"]
        assert not has
        assert status["NoNewPrivs"] == "1"
    finally:
        os.close(init.lifeline_fd)
        os.close(init.pidfd)
        os.waitpid(init.pid, 0)


def test_orphans_are_reaped_by_the_kernel(shared: Agent) -> None:
    code = """
import os, sys, time
for ignored in range(8):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
for ignored in range(8):
    os.wait()
deadline = time.monotonic() + float(sys.argv[1])
while True:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append(open(f"/proc/{pid}/stat").read())
        except OSError:
            pass
    zombies = sum(") Z " in stat for stat in found)
    if len(found) == 2 or time.monotonic() > deadline:
        break
print(len(found), zombies)
"""
    shim = shared.run([BASE_PYTHON, "-I", "-S", "-c", code, str(PATIENCE_S / 2)])
    assert shim.stdout().split() == [b"2", b"0"], shim.stderr()


@pytest.mark.usefixtures("unhurried")
def test_a_plan_is_mapped_while_its_list_is_carried_out_and_no_longer(shared: Agent) -> None:
    """While it is, no line of Python has been run; afterwards the environment must not be there any more."""
    shim = shared.launch(["sleep", "1000"], environment={"PATH": "/usr/bin:/bin", "SECRET": "mapped-secret-5310"})
    maps = Path(f"/proc/{shim.started()['shim_pid']}/maps")
    assert f"{ADDRESS:x}-" in maps.read_text()
    assert shim.ask("state")["state"] == "running"
    wait_for(lambda: f"{ADDRESS:x}-" not in maps.read_text(), "the plan stays")
    shim.ask("kill", grace_ms=0)
    assert shim.record()["kill"]["escalated"]


@pytest.mark.no_cgroups
def test_a_secret_of_one_task_is_not_in_the_shim_of_another(own: Agent) -> None:
    secret = f"swordfish{time.monotonic_ns()}"
    plan = own.plan(["sleep", "1000"])
    plan["environment"]["SECRET"] = secret
    first = own.launch_plan(plan)
    first_shim = first.started()["shim_pid"]
    failing = own.plan(["/no/such/command"])
    failing["environment"]["SECRET"] = secret
    own.launch_plan(failing).failed()
    seconds = [own.launch(["sleep", "1000"]) for _ in range(3)]

    # The search finds what is there.
    assert secret.encode() in memory_of(os.getpid())
    assert first.plan["sandbox"].encode() in memory_of(first_shim)
    for pid in (own.process.pid, *(second.started()["shim_pid"] for second in seconds)):
        assert secret.encode() not in memory_of(pid)
    for shim in (first, *seconds):
        shim.ask("kill", grace_ms=0)
        shim.record()


def test_the_shim_is_outside_its_container(own: Agent) -> None:
    shim = own.launch(["sleep", "1000"])
    pid = shim.started()["shim_pid"]
    assert os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/self/ns/pid")
    assert f"/{shim.plan['container_id']}" not in Path(f"/proc/{pid}/cgroup").read_text()
    assert not any("launcher.sock" in name or "memfd:plan" in name for name in descriptors_of(pid).values())
    shim.ask("kill", grace_ms=0)
    shim.record()


SESSION_KEYRING = """
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 250, "aarch64": 219}[platform.machine()]
print(libc.syscall(number, 0, -3, 0), ctypes.get_errno())
"""
ENOSYS, EPERM = 38, 1


def test_no_two_tasks_share_a_session_keyring(shared: Agent) -> None:
    """Its possessors may read every key in it, whoever they are: what systemd gave to the agent's service among them."""
    user = {"uid": 65534, "gid": 65534, "groups": []}
    shims = [shared.run([BASE_PYTHON, "-I", "-S", "-c", SESSION_KEYRING], user=user) for _ in range(2)]
    seen = [tuple(map(int, shim.stdout().split())) for shim in shims]
    for keyring, code in seen:
        assert keyring > 0 or code in {ENOSYS, EPERM}, seen
    assert seen[0] != seen[1] or seen[0][0] < 0


# PID 1 sleeps in a call, which is made once more, as another: the number of its session keyring is asked for.
KEYRING_OF_PID_1 = """
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
registers = (ctypes.c_ulong * 27)()
call, again, instruction, first, second, third = 10, 15, 16, 14, 13, 12

def ask(request, data=None):
    assert libc.ptrace(request, 1, None, data) == 0, (request, ctypes.get_errno())

# On a busy machine it may not be there yet.
while open("/proc/1/syscall").read().split()[0] not in {"0", "63"}:  # read, by either processor's number
    time.sleep(0.01)
ask(16)
os.waitpid(1, 0x40000000)
ask(12, ctypes.addressof(registers))
registers[call], registers[again], registers[instruction] = 250, 2**64 - 1, registers[instruction] - 2
registers[first], registers[second], registers[third] = 0, 2**64 - 3, 0
ask(13, ctypes.addressof(registers))
ask(9)
os.waitpid(1, 0x40000000)
ask(12, ctypes.addressof(registers))
print(ctypes.c_long(registers[call]).value)
"""


@pytest.mark.no_cgroups
def test_no_init_possesses_what_its_launcher_does(tmp_path: Path) -> None:
    """A task of root's may trace its PID 1, and make it read: what systemd gave to the agent's service, or a task to it."""
    joined = tmp_path / "keyring"
    number = {"x86_64": 250}.get(os.uname().machine, 219)

    join = (
        f"import ctypes; print(ctypes.CDLL(None).syscall({number}, 1, 0), file=open({str(joined)!r}, 'w'), flush=True)"
    )
    with agent(before=join) as own:
        shims = [own.run([BASE_PYTHON, "-I", "-S", "-c", KEYRING_OF_PID_1]) for _ in range(2)]
        said = [shim.stdout() + shim.stderr() for shim in shims]
    if os.uname().machine == "x86_64":
        seen = [int(each) for each in said]
        assert int(joined.read_text()) not in seen
        # Where there are none they are as many errors.
        assert seen[0] != seen[1] or seen[0] in {-ENOSYS, -EPERM}


def test_no_memory_is_shared_where_a_changed_user_may_be_traced() -> None:
    path = Path("/proc/sys/fs/suid_dumpable")
    before = path.read_text()
    path.write_text("1")
    try:
        with agent() as running:
            shim = running.run(["true"], user={"uid": 1234, "gid": 1234, "groups": []})
            assert running.facts is not None
            assert not running.facts["shares_memory"]
            assert shim.record()["wait_status"] == 0
            others = running.launch_plan(
                running.plan(["true"]) | {"launcher": {**running.facts, "shares_memory": True}}
            )
            failed = others.failed()
            assert (failed["stage"], failed["path"]) == ("plan", "launcher")
    finally:
        path.write_text(before)


PEEK = """
import os, sys, time
end = time.monotonic() + float(sys.argv[1])
print("ready", flush=True)
while time.monotonic() < end:
    last = int(open("/proc/loadavg").read().split()[-1])
    for pid in range(last - 3, last + 6):
        try:
            if open(f"/proc/{pid}/comm").read().strip() != "paddock-shim":
                continue
            # Whose memory it is: in the middle of its execve it has its command's already, under its old name.
            mapped = open(f"/proc/{pid}/maps").read()
            os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))
        except OSError:
            continue
        if "python" in mapped:
            print("opened", pid, flush=True)
"""


@pytest.mark.no_cgroups
def test_a_root_task_cannot_open_the_memory_that_another_shares_with_its_shim(shared: Agent) -> None:
    """Without a PID namespace it sees the other's child on its way; a long PATH makes that way long."""
    spaces = ["mnt", "ipc"]
    peek = shared.launch([BASE_PYTHON, "-I", "-S", "-c", PEEK, str(3 * SCALE)], namespaces=spaces)
    wait_for(lambda: peek.stdout() == b"ready\n", "it does not begin")
    path = ":".join(f"/no{number}" for number in range(3000)) + ":/bin:/usr/bin"
    for _number in range(5):
        other = shared.run(["true"], namespaces=spaces, environment={"PATH": path})
        assert other.record()["wait_status"] == 0
    assert peek.record()["wait_status"] == 0
    assert peek.stdout() == b"ready\n"
