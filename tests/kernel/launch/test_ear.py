"""The shim's ear: clients come and go, lie and sleep, and the container does not care."""

import json
import os
import socket
import time
from typing import Any

import pytest

from tests.descriptors import descriptors_of
from tests.kernel.launch.running import BASE_PYTHON, SCALE, Agent, Shim, wait_for


@pytest.fixture
def sleeping(shared: Agent) -> Shim:
    shim = shared.launch(["sleep", "1000"])
    shim.started()
    return shim


def end(shim: Shim) -> None:
    shim.ask("kill", grace_ms=0)
    shim.record()


def test_a_client_that_comes_later(sleeping: Shim) -> None:
    later = sleeping.connect_ear()
    state = later.ask("state")
    assert state["state"] == "running"
    assert state["started"] == sleeping.started()
    assert state["kill"] is None
    assert state["logs"]["stdout_bytes"] == 0
    sleeping.control.close()
    later.ask("kill", grace_ms=0)
    assert later.record()["container_id"] == sleeping.plan["container_id"]
    assert later.receive() is None


def test_the_agent_goes_away_at_once(shared: Agent) -> None:
    shim = shared.launch(["sh", "-c", "echo still; exit 42"])
    shim.control.close()
    record = shim.wait_record_file()
    assert os.waitstatus_to_exitcode(record["wait_status"]) == 42
    assert shim.stdout() == b"still\n"


@pytest.mark.parametrize("garbage", [b"\0", b"{", b"[]", b'{"op":7}', b'{"op":"state","seq":"x"}', b"x" * 190_000])
def test_garbage_closes_only_its_own_connection(sleeping: Shim, garbage: bytes) -> None:
    with sleeping.connect_ear().control as bad:
        bad.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        bad.send(garbage)
        assert bad.recv(100) == b""
    assert sleeping.ask("state")["ok"]
    end(sleeping)


def test_what_is_well_formed_and_wrong_is_answered(sleeping: Shim) -> None:
    assert sleeping.ask("dance")["error"]["value"] == "dance"
    assert sleeping.ask("kill", signal=99)["error"]["path"] == "kill.signal"
    assert sleeping.ask("write", writes=[{"controller": "pids", "file": "../x", "value": "1"}])["ok"] is False
    assert sleeping.ask("exec_kill", exec_id="e9")["error"]["value"] == "e9"
    assert sleeping.ask("state")["state"] == "running"
    end(sleeping)


def test_a_client_that_does_not_read_is_dropped(sleeping: Shim) -> None:
    with sleeping.connect_ear().control as deaf:
        deaf.setblocking(False)
        sent = 0
        try:
            while sent < 100_000:
                deaf.send(b'{"op":"state","seq":1}')
                sent += 1
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass
        assert sleeping.ask("state")["ok"]
    end(sleeping)


def test_the_ear_is_roots_alone(sleeping: Shim) -> None:
    wait_for(lambda: os.path.exists(sleeping.plan["socket"]), "no ear")
    assert os.stat(sleeping.plan["socket"]).st_mode & 0o777 == 0o600
    end(sleeping)


def test_a_socket_path_longer_than_an_address(shared: Agent) -> None:
    deep = shared.directory / ("d" * 100)
    deep.mkdir()
    shim = shared.launch(["sleep", "1000"], socket=str(deep / "ear"))
    wait_for((deep / "ear").exists, "no ear")
    shim.started()  # the ear is due at its time, however long the command takes to run
    assert shim.ask("state")["state"] == "running"
    end(shim)
    assert shim.record()["problems"] == []
    assert not (deep / "ear").exists()


def test_an_ear_that_cannot_be_opened_is_a_problem_and_is_tried_again(shared: Agent) -> None:
    later = shared.directory / "later"
    shim = shared.launch(["sleep", "1000"], socket=str(later / "ear"))
    shim.started()
    # By then an attempt is due, and with each answer its shim's loop has come round once more: it has been made.
    for _ in range(3):
        time.sleep(0.1 * SCALE)
        assert shim.ask("state")["state"] == "running"
    later.mkdir()
    wait_for((later / "ear").exists, "no ear")
    end(shim)
    assert [problem["path"] for problem in shim.record()["problems"]] == [str(later)]


def sockets_of(shim: Shim) -> int:
    return sum(name.startswith("socket:") for name in descriptors_of(shim.started()["shim_pid"]).values())


def test_an_ear_that_cannot_take_its_name_leaves_no_socket_open(shared: Agent) -> None:
    """The list's own attempt is not alone: Python's come after it."""
    taken = shared.directory / "taken"
    (taken / "ear").mkdir(parents=True)
    shim = shared.launch(["sleep", "1000"], socket=str(taken / "ear"))
    shim.started()
    begun_ns = taken.stat().st_mtime_ns
    # Each attempt makes a name here, and Python's come a second after the other.
    wait_for(lambda: taken.stat().st_mtime_ns > begun_ns + 500_000_000, "nobody tries again")
    wait_for(lambda: sockets_of(shim) == 1, "only the agent's connection may be there")
    wait_for(lambda: not (taken / "ear.new").exists(), "what could not be renamed stays")
    (taken / "ear").rmdir()
    wait_for((taken / "ear").exists, "no ear")
    wait_for(lambda: sockets_of(shim) == 2, "the ear is not all that has come")
    end(shim)


def test_the_ear_opens_at_once_when_the_agent_goes(shared: Agent) -> None:
    shim = shared.launch(["sleep", "1000"])
    shim.started()
    shim.control.close()
    other = shim.connect_ear()
    assert other.ask("state")["state"] == "running"
    end(other)


def exec_in(shim: Shim, argv: list[str], **changes: object) -> tuple[dict[str, Any], bytes]:
    read_fd, write_fd = os.pipe()
    null_fd = os.open("/dev/null", os.O_RDWR)
    plan = {key: shim.plan[key] for key in ("user", "environment", "capabilities", "no_new_privs")}
    answer = shim.ask("exec", fds=[null_fd, write_fd, write_fd], plan={**plan, "argv": argv, **changes})
    os.close(write_fd)
    os.close(null_fd)
    with os.fdopen(read_fd, "rb") as output:
        return answer, output.read()


def test_exec_joins_limits_and_namespaces(shared: Agent) -> None:
    shim = shared.launch(["sleep", "1000"])
    shim.started()
    script = "cat /proc/self/cgroup; readlink /proc/self/ns/pid /proc/1/ns/pid; grep CapEff /proc/self/status; exit 5"
    answer, output = exec_in(shim, ["sh", "-c", script])
    assert answer["ok"], answer
    event = shim.wait_event("exec_exited")
    assert event["exec_id"] == answer["exec_id"]
    assert os.waitstatus_to_exitcode(event["wait_status"]) == 5
    lines = output.decode().split("\n")
    assert any(line.endswith(f"/{shim.plan['container_id']}") for line in lines if "memory" in line or "0::" in line)
    namespaces = [line for line in lines if line.startswith("pid:")]
    assert namespaces[0] == namespaces[1] != os.readlink("/proc/self/ns/pid")
    assert "00000000a80425fb" in output.decode()
    end(shim)


def test_exec_that_fails(sleeping: Shim) -> None:
    answer, _output = exec_in(sleeping, ["/no/such"])
    assert not answer["ok"]
    assert answer["error"]["errno"] == 2
    wait_for(lambda: sleeping.ask("state")["execs"] == [], "the failed exec stays")
    assert not sleeping.ask("exec", plan={"argv": ["true"]})["ok"]
    end(sleeping)


def test_exec_kill_and_death_with_the_container(shared: Agent) -> None:
    shim = shared.launch(["sleep", "1000"])
    shim.started()
    null_fd = os.open("/dev/null", os.O_RDWR)
    plan = {**{key: shim.plan[key] for key in ("user", "environment")}, "argv": ["sleep", "1000"]}
    first = shim.ask("exec", fds=[null_fd] * 3, plan=plan)
    second = shim.ask("exec", fds=[null_fd] * 3, plan=plan)
    os.close(null_fd)
    assert shim.ask("exec_kill", exec_id=first["exec_id"], signal=2)["ok"]
    event = shim.wait_event("exec_exited")
    assert (event["exec_id"], os.WTERMSIG(event["wait_status"])) == (first["exec_id"], 2)
    shim.ask("kill", grace_ms=0)
    record = shim.record()
    assert record["problems"] == []
    ended = [event for event in shim.events if event["event"] == "exec_exited"]
    assert [event["exec_id"] for event in ended] == [first["exec_id"], second["exec_id"]]


def test_exec_without_namespaces(shared: Agent) -> None:
    shim = shared.launch(["sleep", "1000"], namespaces=[], mounts=[])
    shim.started()
    answer, output = exec_in(shim, ["sh", "-c", "echo $$"])
    assert answer["ok"], answer
    assert int(output) == answer["pid"]
    end(shim)


def test_exec_with_a_plan_longer_than_a_message(sleeping: Shim) -> None:
    from paddock.kernel.descriptors import make_sealed_memfd  # noqa: PLC0415

    null_fd = os.open("/dev/null", os.O_RDWR)
    environment = {f"V{index}": "x" * 1000 for index in range(500)}
    plan = {"argv": ["/bin/sh", "-c", 'test -n "$V499"'], "user": {"uid": 0, "gid": 0}, "environment": environment}
    memfd = make_sealed_memfd("exec", json.dumps(plan).encode())
    assert sleeping.ask("exec", fds=[null_fd, null_fd, null_fd, memfd])["ok"]
    assert sleeping.wait_event("exec_exited")["wait_status"] == 0
    os.close(null_fd)
    os.close(memfd)
    end(sleeping)


def test_exec_reads_what_it_is_given(sleeping: Shim) -> None:
    read_fd, write_fd = os.pipe()
    null_fd = os.open("/dev/null", os.O_RDWR)
    plan = {"argv": [BASE_PYTHON, "-c", "import sys; sys.exit(len(sys.stdin.read()))"], "user": {"uid": 0, "gid": 0}}
    assert sleeping.ask("exec", fds=[read_fd, null_fd, null_fd], plan=plan)["ok"]
    os.write(write_fd, b"seven..")
    for fd in (read_fd, write_fd, null_fd):
        os.close(fd)
    assert os.waitstatus_to_exitcode(sleeping.wait_event("exec_exited")["wait_status"]) == 7
    end(sleeping)
