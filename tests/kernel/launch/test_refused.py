"""Launches that come to nothing: which step, on what, with which value, and nothing half-made remains."""

import errno
import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from paddock.kernel.descriptors import make_sealed_memfd
from paddock.launch.protocol import ANOTHER_RUNS, ProtocolError
from tests.kernel.launch.running import BASE_PYTHON, Agent, Shim, agent, read_record, wait_for, without_capability

FEW_DESCRIPTORS = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))"


def assert_nothing_stays(shim: Shim) -> None:
    shim.wait_end_of_connection()
    assert shim.cgroups() == []
    assert not Path(shim.plan["socket"]).exists()
    assert not Path(shim.plan["record"] + ".new").exists()


def refused(running: Agent, argv: list[str], **changes: Any) -> dict[str, Any]:
    shim = running.launch(argv, **changes)
    event = shim.failed()
    assert_nothing_stays(shim)
    record = read_record(shim.plan)
    assert record["wait_status"] is None
    assert {key: event[key] for key in record["launch_error"]} == record["launch_error"]
    return event


def test_a_limit_that_the_kernel_refuses(shared: Agent) -> None:
    plan = shared.plan(["true"])
    plan["writes"].append({"controller": "pids", "file": "pids.max", "value": "-5"})
    shim = shared.launch_plan(plan)
    event = shim.failed()
    assert event["stage"] == "cgroup"
    assert event["operation"] == "write"
    assert event["path"] == f"{shim.directory('pids')}/pids.max"
    assert event["value"] == "-5"
    assert event["errno"] == errno.EINVAL
    assert_nothing_stays(shim)


def test_an_optional_limit_that_this_host_has_not(shared: Agent) -> None:
    plan = shared.plan(["true"])
    plan["writes"].append({"controller": "pids", "file": "pids.none", "value": "1", "optional": True})
    shim = shared.launch_plan(plan)
    assert shim.started()["unapplied"][-1]["file"] == "pids.none"
    assert shim.record()["wait_status"] == 0


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["/no/such/command"], errno.ENOENT),
        (["no-such-command"], errno.ENOENT),
        (["/etc/passwd"], errno.EACCES),
        (["/tmp"], errno.EACCES),
        (["/etc/passwd/x"], errno.ENOTDIR),
    ],
)
def test_a_command_that_cannot_be_executed(shared: Agent, argv: list[str], code: int) -> None:
    event = refused(shared, argv)
    assert (event["stage"], event["operation"], event["path"]) == ("exec", "execve", argv[0])
    assert event["errno"] == code


def test_a_failed_exec_without_a_pid_namespace(shared: Agent) -> None:
    assert refused(shared, ["/no/such/command"], namespaces=[], mounts=[])["errno"] == errno.ENOENT


def test_a_directory_that_the_user_may_not_enter(shared: Agent) -> None:
    closed = shared.directory / "closed"
    closed.mkdir(mode=0o700)
    user = {"uid": 1234, "gid": 1234, "groups": []}
    event = refused(shared, ["true"], user=user, working_directory=str(closed))
    assert (event["stage"], event["operation"], event["path"]) == ("exec", "chdir", str(closed))
    assert event["errno"] == errno.EACCES


def test_a_mount_that_fails(shared: Agent) -> None:
    mount = {"source": "none", "target": "/no/such/place", "type": "tmpfs", "flags": [], "data": ""}
    event = refused(shared, ["true"], mounts=[mount])
    assert (event["stage"], event["operation"], event["path"]) == ("mount", "mount", "/no/such/place")


def test_a_limit_of_the_process_that_fails(shared: Agent) -> None:
    event = refused(shared, ["true"], rlimits=[{"resource": "RLMT_NOFILE", "soft": 100, "hard": 50}])
    assert (event["stage"], event["operation"], event["path"]) == ("limits", "setrlimit", "RLMT_NOFILE")


def test_a_capability_that_the_launcher_lacks() -> None:
    sets = {"bounding": ["CAP_SYS_TIME"], "effective": ["CAP_SYS_TIME", "CAP_CHOWN"], "ambient": []}
    with agent(before=without_capability("CAP_SYS_TIME")) as running:
        event = refused(running, ["true"], capabilities=sets)
    assert (event["stage"], event["operation"], event["value"]) == ("user", "capset", "CAP_SYS_TIME")
    assert event["errno"] == errno.EPERM


def test_a_sandbox_that_is_not_there(shared: Agent) -> None:
    event = refused(shared, ["true"], sandbox="/no/such/sandbox")
    assert (event["stage"], event["path"]) == ("logs", "/no/such/sandbox")


def test_an_id_that_was_used_before(shared: Agent) -> None:
    first = shared.run(["true"])
    again = shared.launch_plan(first.plan)
    event = again.failed()
    assert event["stage"] == "record"
    assert event["errno"] == errno.EEXIST
    assert read_record(first.plan)["wait_status"] == 0


def test_an_id_that_is_in_use_keeps_its_container(shared: Agent) -> None:
    first = shared.launch(["sleep", "1000"])
    first.started()
    again = shared.launch_plan(
        {**first.plan, "record": first.plan["record"] + "-2", "socket": first.plan["socket"] + "2"}
    )
    event = again.failed()
    assert (event["stage"], event["errno"]) == ("cgroup", errno.EEXIST)
    assert first.ask("state")["state"] == "running"
    assert len(first.cgroups()) == len(set(first.plan["cgroup"]["directories"].values()))
    first.ask("kill", grace_ms=0)
    first.record()


def test_an_environment_of_one_mebibyte(shared: Agent) -> None:
    environment = {f"V{index}": "x" * 1000 for index in range(1048)}
    shim = shared.run([BASE_PYTHON, "-I", "-S", "-c", "import os; print(len(os.environ))"], environment=environment)
    assert shim.record()["wait_status"] == 0
    assert int(shim.stdout()) >= 1048


@pytest.mark.parametrize("environment", [{"BIG": "x" * (129 * 1024)}, {f"V{i}": "x" * 100_000 for i in range(70)}])
def test_an_environment_over_the_kernels_limit(shared: Agent, environment: dict[str, str]) -> None:
    event = refused(shared, ["/bin/true"], environment=environment)
    assert (event["stage"], event["operation"], event["errno"]) == ("exec", "execve", errno.E2BIG)


def raw_launch(running: Agent, content: bytes, *, sealed: bool = True) -> dict[str, Any]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if sealed:
        memfd = make_sealed_memfd("plan", content)
    else:
        memfd = os.memfd_create("plan")
        os.write(memfd, content)
    with ours, theirs, running.connect() as connection:
        socket.send_fds(connection, [b'{"format":1,"op":"launch"}'], [memfd, theirs.fileno()])
        theirs.close()
        os.close(memfd)
        return Shim(ours, {}).failed()


def test_plans_that_are_none(shared: Agent) -> None:
    sealed = shared.sealed(shared.plan(["true"]))
    assert raw_launch(shared, b"\xff\x00 no")["message"] == "plan: is too short"
    assert raw_launch(shared, b"[" * 100_000)["message"] == "plan: is none"
    assert raw_launch(shared, sealed[:8] + b"\x07" + sealed[9:])["path"] == "format"
    for cut in (sealed[:-1], sealed + b" ", sealed[:16] + b"\xff" * 4 + sealed[20:]):
        assert raw_launch(shared, cut)["message"] == "plan: its header does not fit it"
    for summary in (b"{}", b"[]", b"nothing"):
        event = raw_launch(shared, sealed[:32] + struct.pack("2Q", len(summary), 0) + sealed[48:64] + b"\0" * 100)
        assert event["stage"] == "plan"


def test_a_plan_that_is_wrong_is_never_sealed(shared: Agent) -> None:
    with pytest.raises(ProtocolError, match="argv: must not be empty"):
        shared.sealed({**shared.plan(["true"]), "argv": []})
    foreign = shared.plan(["true"])
    foreign["cgroup"]["directories"] = dict.fromkeys(foreign["cgroup"]["directories"], "/sys/fs/cgroup/else")
    with pytest.raises(ProtocolError, match="must end in /paddock-"):
        shared.sealed(foreign)


def test_a_plan_that_its_sender_could_still_change(shared: Agent) -> None:
    event = raw_launch(shared, shared.sealed(shared.plan(["true"])), sealed=False)
    assert event["operation"] == "fcntl(F_GET_SEALS)"


@pytest.mark.parametrize(
    "garbage", [b"\0", b"{", b"[]", b"{}", b'{"op":"launch","format":1}', b'{"op":"no"}', b"x" * 100_000]
)
def test_garbage_closes_only_its_own_connection(shared: Agent, garbage: bytes) -> None:
    with shared.connect() as bad, shared.connect() as good:
        bad.send(garbage)
        assert bad.recv(100) == b""
        good.send(b'{"op":"ping"}')
        assert json.loads(good.recv(1000))["pid"] == shared.process.pid


def test_descriptors_that_are_no_plan(shared: Agent) -> None:
    with shared.connect() as connection, Path("/dev/null").open("rb") as null:
        socket.send_fds(connection, [b'{"format":1,"op":"launch"}'], [null.fileno(), null.fileno()])
        assert connection.recv(100) == b""
    assert shared.is_ready()


def test_a_refusal_that_nobody_waits_for_ends_no_connection(shared: Agent) -> None:
    """An agent that loses its connection takes the launcher for dead, and waits for its end before it launches again."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    memfd = os.memfd_create("plan")
    with shared.connect() as connection:
        socket.send_fds(connection, [b'{"format":1,"op":"launch"}'], [memfd, theirs.fileno()])
        connection.send(b'{"op":"ping"}')
        assert json.loads(connection.recv(4096))["pid"] == shared.process.pid
    theirs.close()
    os.close(memfd)


def test_another_user_is_not_heard(shared: Agent) -> None:
    code = """
import os, socket, sys
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
os.setuid(1234)
try:
    connection.connect(sys.argv[1])
except PermissionError:
    print("refused")
"""
    import subprocess  # noqa: PLC0415

    command = [BASE_PYTHON, "-I", "-S", "-c", code, shared.socket]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"refused\n"


def test_a_second_launcher_on_the_same_socket_is_an_error(shared: Agent) -> None:
    import subprocess  # noqa: PLC0415

    root = str(Path(__file__).resolve().parents[3])
    code = f"import sys; sys.path[:0] = [{root!r}]; from paddock.launch.launcher import main; main()"
    command = [BASE_PYTHON, "-I", "-S", "-c", code, "--socket", shared.socket, "--agent-id", shared.agent_id]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == ANOTHER_RUNS
    assert "a launcher runs on this socket" in ended.stderr
    assert shared.is_ready()


@pytest.mark.no_cgroups
def test_a_launcher_with_as_many_containers_as_its_descriptors_allow_says_so() -> None:
    """Else it could not even take a launch's: its agent would lose it, and wait for an end that does not come."""
    with agent(flags=("--pool-size=1",), before=FEW_DESCRIPTORS) as own:
        first: dict[str, Any] = {"event": "started"}
        while first["event"] == "started":
            first = own.launch(["sleep", "1000"]).receive() or {"event": "", "stage": "not a word", "errno": 0}
        assert (first["event"], first["stage"], first["errno"]) == ("failed", "launcher", errno.EMFILE)
        assert f"{len(own.shims) - 1} containers" in first["message"]
        assert "raise the limit of open files" in first["message"]
        assert len(own.shims) > 5
        own.shims[0].ask("kill", grace_ms=0)
        own.shims[0].wait_end_of_connection()
        wait_for(lambda: own.ping()["shims"] == len(own.shims) - 2, "its end is not heard")
        assert own.run(["true"]).record()["wait_status"] == 0
        for shim in own.shims[1:-2]:
            shim.ask("kill", grace_ms=0)
            shim.wait_end_of_connection()
