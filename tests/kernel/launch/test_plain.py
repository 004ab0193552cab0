"""An ordinary command: its status, its output, its limits, and what it does not inherit."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.kernel.launch.running import BASE_PYTHON, Agent, agent, is_running, read_record, wait_for
from tests.kernel.launch.tracing import attach, detach, go_on_to_the_end_of

ACCEPT4 = {"x86_64": 288}.get(os.uname().machine, 242)


def test_exit_code_and_output(shared: Agent) -> None:
    shim = shared.launch(["sh", "-c", "echo out; echo err >&2; exit 42"])
    started = shim.started()
    record = shim.record()
    shim.wait_end_of_connection()

    assert os.waitstatus_to_exitcode(record["wait_status"]) == 42
    assert shim.stdout() == b"out\n"
    assert shim.stderr() == b"err\n"
    assert record["logs"] == {"stdout_bytes": 4, "stderr_bytes": 4, "dropped_bytes": 0}
    assert record["pid"] == started["pid"]
    assert record["started_ns"] < record["ended_ns"] <= time.time_ns()
    assert record["problems"] == []
    assert record["victims"] == []
    assert record["kill"] is None
    assert read_record(shim.plan) == record
    assert shim.cgroups() == []
    assert not Path(shim.plan["socket"]).exists()


def test_signal_is_reported(shared: Agent) -> None:
    record = shared.run(["sh", "-c", "kill -SEGV $$"]).record()
    assert os.WTERMSIG(record["wait_status"]) == signal.SIGSEGV


def test_limits_are_in_force_while_it_runs(shared: Agent) -> None:
    shim = shared.launch(["sleep", "1000"], limits={"memory_bytes": 64 << 20, "pids": 17, "shares": 512})
    pid = shim.started()["pid"]

    controller, file = shared.machine.memory_limit
    assert (shim.directory(controller) / file).read_text().strip() == str(64 << 20)
    assert (shim.directory("pids") / "pids.max").read_text().strip() == "17"
    cpu = ("cpu.weight", "50") if shared.machine.is_v2 else ("cpu.shares", "512")
    assert (shim.directory("cpu") / cpu[0]).read_text().strip() == cpu[1]
    for directory in shim.cgroups():
        assert str(pid) in Path(directory, "cgroup.procs").read_text().split()
    answer = shim.ask("read", reads=[{"controller": controller, "file": file}, {"controller": "pids", "file": "no"}])
    assert answer["values"][f"{controller}/{file}"].strip() == str(64 << 20)
    assert answer["values"]["pids/no"] is None
    assert "pids/no" in answer["errors"]

    shim.ask("kill", grace_ms=0)
    assert os.WTERMSIG(shim.record()["wait_status"]) == signal.SIGKILL


def test_it_sees_its_own_pid_namespace_only(shared: Agent) -> None:
    shim = shared.run(["sh", "-c", "ls /proc | grep -E '^[0-9]+$' | wc -l; echo $$"])
    count, pid = map(int, shim.stdout().split())
    assert count <= 6
    assert pid < 10


def test_without_a_pid_namespace(shared: Agent) -> None:
    shim = shared.launch(["sh", "-c", "setsid sleep 1000 & echo $$"], namespaces=[], mounts=[])
    pid = shim.started()["pid"]
    record = shim.record()
    assert int(shim.stdout()) == pid
    assert record["wait_status"] == 0
    assert shim.cgroups() == []


def test_own_mounts_without_a_pid_namespace(shared: Agent) -> None:
    mount = {"source": "tmpfs", "target": "/mnt", "type": "tmpfs", "flags": ["nosuid"], "data": "size=1m"}
    shim = shared.run(["sh", "-c", "echo x > /mnt/here; cat /mnt/here"], namespaces=["mnt"], mounts=[mount])
    assert shim.stdout() == b"x\n"
    assert not Path("/mnt/here").exists()


def test_read_only_bind_mount(shared: Agent) -> None:
    target = shared.directory / "bound"
    target.mkdir()
    proc = shared.plan(["true"])["mounts"]
    mount = {"source": "/etc", "target": str(target), "type": "", "flags": ["bind", "ro"], "data": ""}
    script = f"test -e {target}/passwd && ! touch {target}/x"
    record = shared.run(["sh", "-c", script], mounts=[*proc, mount]).record()
    assert record["wait_status"] == 0
    assert list(target.iterdir()) == []


def test_user_groups_umask_rlimits_and_directory(shared: Agent) -> None:
    script = "id -u; id -g; id -G; umask; ulimit -n; ulimit -c; pwd; nice"
    plan = shared.plan(
        ["sh", "-c", script],
        user={"uid": 1234, "gid": 1235, "groups": [1235, 1236]},
        umask=0o027,
        nice=5,
        rlimits=[
            {"resource": "RLMT_NOFILE", "soft": 77, "hard": 88},
            {"resource": "RLMT_CORE", "soft": 0, "hard": 0},
        ],
    )
    shim = shared.launch_plan(plan)
    assert shim.record()["wait_status"] == 0, shim.stderr()
    assert shim.stdout().split() == [*b"1234 1235 1235 1236 0027 77 0".split(), plan["sandbox"].encode(), b"5"]
    assert (Path(plan["sandbox"]) / "stdout").stat().st_uid == 1234


def test_capabilities_of_a_user_by_ambient(shared: Agent) -> None:
    sets = {"bounding": ["CAP_NET_BIND_SERVICE"], "effective": [], "ambient": ["CAP_NET_BIND_SERVICE"]}
    shim = shared.run(
        ["grep", "-E", "Cap(Eff|Bnd)|NoNewPrivs", "/proc/self/status"],
        user={"uid": 1234, "gid": 1234, "groups": []},
        capabilities=sets,
    )
    assert shim.stdout().split()[1::2] == [b"0000000000000400", b"0000000000000400", b"1"]


def test_path_lookup_goes_by_the_plans_path_as_the_user(shared: Agent) -> None:
    plan = shared.plan(["mine", "one"])
    tool = Path(plan["sandbox"]) / "mine"
    tool.write_text("#!/bin/sh\necho $0 $1\n")
    tool.chmod(0o755)
    plan["environment"] = {"PATH": f"/nowhere:{plan['sandbox']}"}
    shim = shared.launch_plan(plan)
    assert shim.record()["wait_status"] == 0
    assert shim.stdout() == f"{tool} one\n".encode()


def test_barrier_holds_until_start(shared: Agent) -> None:
    shim = shared.launch(["sh", "-c", "echo ran"], barrier=True)
    created = shim.wait_event("created")
    assert "python" in os.readlink(f"/proc/{created['pid']}/exe")
    assert shim.ask("state")["state"] == "waiting"
    assert shim.stdout() == b""
    assert shim.ask("start")["ok"]
    assert shim.started()["pid"] == created["pid"]
    assert shim.record()["wait_status"] == 0
    assert shim.stdout() == b"ran\n"


def test_kill_at_the_barrier(shared: Agent) -> None:
    shim = shared.launch(["sh", "-c", "echo ran"], barrier=True)
    shim.wait_event("created")
    shim.ask("kill", grace_ms=0)
    record = shim.record()
    assert os.WTERMSIG(record["wait_status"]) == signal.SIGKILL
    assert record["launch_error"] is None
    assert shim.stdout() == b""


PROBE = """
import json, os, resource, signal
print(json.dumps({
    "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1],
    "umask": os.umask(0), "nice": os.nice(0), "adj": open("/proc/self/oom_score_adj").read().strip(),
    "nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "sid": os.getsid(0) == os.getpid(), "cwd": os.getcwd(),
    "status": {l.split(":")[0]: l.split()[1] for l in open("/proc/self/status") if l.startswith("Sig")},
    "env": dict(os.environ),
}))
"""


SPOILED = """
import ctypes, os, pathlib, signal
os.nice(7)
os.umask(0o077)
pathlib.Path("/proc/self/oom_score_adj").write_text("700")
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD})
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
signal.signal(signal.SIGQUIT, signal.SIG_IGN)
# As glibc's posix_spawn leaves libc's own two signals in every child.
action = (ctypes.c_ulong * 4)(1)
rt_sigaction = {"x86_64": 13, "aarch64": 134}[os.uname().machine]
for number in (32, 33):
    assert ctypes.CDLL(None).syscall(rt_sigaction, number, action, None, 8) == 0
os.dup2(1, 99, inheritable=True)
os.chdir("/tmp")
"""


def test_nothing_of_the_launchers_parent_is_inherited() -> None:
    import resource  # noqa: PLC0415

    with agent(before=SPOILED, close_fds=False, env={"SECRET": "of the agent"}) as running:
        assert "SECRET" in Path(f"/proc/{running.process.pid}/environ").read_text()
        shim = running.run([BASE_PYTHON, "-I", "-S", "-c", PROBE], environment={"A": "b"})
        assert shim.record()["wait_status"] == 0, shim.stderr()
        seen = json.loads(shim.stdout())
        assert seen["fds"] == [0, 1, 2]
        assert seen["umask"] == 0o022
        assert seen["nice"] == 0
        assert seen["adj"] == "0"
        assert tuple(seen["nofile"]) == resource.getrlimit(resource.RLIMIT_NOFILE)
        assert seen["sid"]
        assert seen["cwd"] == shim.plan["sandbox"]
        assert seen["env"] in ({"A": "b"}, {"A": "b", "LC_CTYPE": "C.UTF-8"})
        assert int(seen["status"]["SigBlk"], 16) == 0
        # Python itself ignores SIGPIPE and SIGXFSZ.
        assert int(seen["status"]["SigIgn"], 16) & ~(1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1) == 0


def test_sh_inherits_no_ignored_signal(shared: Agent) -> None:
    shim = shared.run(["grep", "SigIgn", "/proc/self/status"])
    assert int(shim.stdout().split()[1], 16) == 0


def test_a_hundred_at_once(own: Agent) -> None:
    shims = [own.launch(["sleep", "1000"]) for _ in range(100)]
    pids = [shim.started()["pid"] for shim in shims]
    assert len(set(pids)) == 100
    for shim in shims:
        shim.ask("kill", grace_ms=0)
    for shim in shims:
        assert os.WTERMSIG(shim.record()["wait_status"]) == signal.SIGKILL
    assert not any(is_running(pid) for pid in pids)
    wait_for(lambda: own.ping()["shims"] == 0, "shims stay")


def zombies_of(parent: int) -> list[str]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, its_parent = stat.read_text().rpartition(") ")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and int(its_parent) == parent:
            found.append(str(stat))
    return found


def test_the_launcher_leaves_no_zombies(own: Agent) -> None:
    for _ in range(5):
        own.run(["true"])
    wait_for(lambda: not zombies_of(own.process.pid), "zombies stay")


MANY_ORPHANS = """
import os, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
for _ in range(300):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
print("made", flush=True)
time.sleep(1000)
"""


@pytest.mark.no_cgroups
def test_a_launch_has_its_turn_among_ends_without_number(own: Agent, tmp_path: Path) -> None:
    """Where many processors make orphans, the launcher alone may not take them as fast as they come."""
    begin = tmp_path / "begin"
    orphans = [BASE_PYTHON, "-I", "-S", "-c", MANY_ORPHANS, str(begin)]
    maker = own.launch(orphans, limits={"pids": 400}, namespaces=[], mounts=[])
    maker.started()
    attach(own.process.pid)
    begin.touch()
    try:
        wait_for(lambda: maker.stdout() == b"made\n", "it makes none")
        shim = own.launch(["true"])
        go_on_to_the_end_of(own.process.pid, ACCEPT4)
        left = len(zombies_of(own.process.pid))
    finally:
        detach(own.process.pid)
    assert left > 200
    assert shim.record()["wait_status"] == 0
    maker.ask("kill", grace_ms=0)
    maker.record()


def test_python_init_where_the_still_init_has_no_bytes() -> None:
    with agent(flags=("--machine=none",)) as running:
        shim = running.run(["sh", "-c", "(sleep 0.01 &) ; cat /proc/1/comm; ls /proc/1/fd | wc -l; exit 7"])
        assert os.waitstatus_to_exitcode(shim.record()["wait_status"]) == 7
        sleeping = running.launch(["sleep", "1000"])
        pid = sleeping.started()["pid"]
        os.kill(sleeping.started()["shim_pid"], signal.SIGKILL)
        wait_for(lambda: not is_running(pid), "the container outlives its shim")
        assert sleeping.wait_record_file()["supervisor_lost"]


@pytest.mark.parametrize("word", ["paddock", "asyncio", "dataclasses", "typing", "pathlib", "contextlib", "logging"])
def test_modules_of_a_started_launcher(word: str) -> None:
    import subprocess  # noqa: PLC0415

    root = str(Path(__file__).resolve().parents[3])
    code = f"import sys; sys.path[:0] = [{root!r}]; import paddock.launch.launcher; print('\\n'.join(sys.modules))"
    modules = subprocess.run([BASE_PYTHON, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    if word == "paddock":
        ours = {name for name in modules.split() if name.startswith("paddock.")}
        assert all(name.startswith(("paddock.kernel", "paddock.launch")) for name in ours)
        assert "paddock.launch.shim" in ours
    else:
        assert word not in modules.split()


def test_a_spare_record_becomes_the_record(shared: Agent) -> None:
    spare = shared.directory / "records" / "spare-1"
    spare.touch(mode=0o600)
    inode = spare.stat().st_ino
    shim = shared.run(["true"], spare_record=str(spare))
    assert Path(shim.plan["record"]).stat().st_ino == inode
    assert shim.record()["wait_status"] == 0
    assert not spare.exists()
    again = shared.run(["true"], spare_record=str(spare))
    assert again.wait_record_file()["wait_status"] == 0


def test_the_agents_own_directories_are_made_anew(own: Agent) -> None:
    """Somebody removed them, in all hierarchies or in the last one only: what was made before is undone, and made again."""
    roots = list(dict.fromkeys(own.machine.roots(own.agent_id).values()))
    for gone in (roots, roots[-1:]):
        if own.machine.is_v2:
            # The launcher's leaf is in there: the controllers are taken out of it instead.
            Path(roots[0], "cgroup.subtree_control").write_text("-memory -pids -cpu")
        else:
            for root in gone:
                os.rmdir(root)
        assert own.run(["true"]).record()["wait_status"] == 0


def test_a_cpuset_is_usable(own: Agent) -> None:
    """v1: a new one has no CPUs, and is given its parent's; v2: the controller is handed down."""
    plan = own.plan(["/bin/sh", "-c", "grep Cpus_allowed_list /proc/self/status"])
    mount = own.machine.hierarchy.controllers.get("cpuset", "")
    if own.machine.is_v2:
        plan["writes"].append({"controller": "cpuset", "file": "cpuset.cpus", "value": "0"})
        allowed = "0"
    else:
        plan["cgroup"]["directories"]["cpuset"] = f"{mount}/paddock-{own.agent_id}/{plan['container_id']}"
        allowed = Path(mount, "cpuset.cpus").read_text().strip()
    shim = own.launch_plan(plan)
    assert shim.record()["wait_status"] == 0
    assert shim.stdout().split()[-1].decode() == allowed
    if not own.machine.is_v2:
        os.rmdir(f"{mount}/paddock-{own.agent_id}")
