"""A real host with two agents: what is out of place is named and removed, what is not, or is another's, stays."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from paddock.wire.v1 import tasks_pb2
from tests.agentd_process import TIME_SCALE, AgentdProcess, assert_gone, cgroup_points, lent, running_agentd
from tests.kernel.agentd.calling import RUNNING, calling, shell

SLEEP = shell("exec sleep 1000")


@pytest.fixture(scope="module")
def two_agentds() -> Iterator[tuple[AgentdProcess, AgentdProcess]]:
    with running_agentd() as first, running_agentd() as second:
        yield first, second


@pytest.fixture
def agentds(two_agentds: tuple[AgentdProcess, AgentdProcess]) -> Iterator[tuple[AgentdProcess, AgentdProcess]]:
    with ExitStack() as stack:
        yield stack.enter_context(lent(two_agentds[0])), stack.enter_context(lent(two_agentds[1]))


def paddock(verb: str, *words: str, agents: tuple[AgentdProcess, ...]) -> tuple[int, list[dict[str, object]]]:
    """Never without --state-dir: there may be others' agents on this host."""
    flags = [f"--state-dir={agent.directory}/state" for agent in agents]
    done = subprocess.run(
        [sys.executable, "-m", "paddock.cli", verb, "-o", "json", "--min-age=0s", *flags, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def wrong(findings: list[dict[str, object]]) -> dict[object, dict[str, object]]:
    return {each["name"]: each for each in findings if each["verdict"] == "wrong"}


def orphan_cgroups(agent: AgentdProcess, name: str) -> list[Path]:
    """In each of the agent's own directories; under systemd they stand in a scope."""
    roots = json.loads((agent.directory / "state" / "places").read_text("utf-8"))["cgroup_roots"]
    made = [Path(root, name) for root in sorted({root for _, root in roots}) if os.path.isdir(root)]
    assert made
    for path in made:
        path.mkdir()
    return made


def wait_until(is_so: Callable[[], bool], timeout_s: float = 20 * TIME_SCALE) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def dead_socket(agent: AgentdProcess, name: str) -> Path:
    path = agent.directory / "state" / "run" / f"{name}.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as ear:
        ear.bind(str(path))
    return path


async def test_two_agents_in_order(agentds: tuple[AgentdProcess, AgentdProcess]) -> None:
    volumes = agentds[0].directory / "work" / "agents" / agentds[0].agent_id / "volumes"
    (volumes / "roles" / "r" / "v1").mkdir(parents=True)
    async with calling(agentds[0].address) as agent:
        running = await agent.launch(SLEEP, until=RUNNING)
        code, found = paddock("doctor", agents=agentds)
        assert code == 0, wrong(found)
        by_name = {each["name"]: each for each in found}
        assert by_name[running.container_id.value]["agent_id"] == agentds[0].agent_id
        assert by_name[running.container_id.value]["verdict"] == "fine"
        assert str(by_name[str(volumes)]["why"]).startswith("1 persistent volumes")
        for each in agentds:
            assert f"pid {each.pid}" in str(by_name[f"{each.directory}/state"]["why"])
            assert by_name[str(each.directory / "agentd.sock")]["verdict"] == "fine"
            assert by_name[str(each.directory / "agentd.sock.http")]["verdict"] == "fine"
            assert by_name[f"{each.directory}/state/run/launcher.sock"]["verdict"] == "fine"
        assert paddock("gc", agents=agentds) == (0, [])
        assert Path(f"/proc/{running.pid}").exists()
        assert (volumes / "roles" / "r" / "v1").is_dir()
        await agent.kill(running, grace_ms=0)
        await agent.wait(running)


@pytest.mark.no_cgroups
async def test_what_only_a_hand_can_put_in_order_is_named_with_the_remedy(
    agentds: tuple[AgentdProcess, AgentdProcess],
) -> None:
    mine, others = agentds
    async with calling(mine.address) as agent:
        ended = await agent.run("/bin/true")
    records = mine.directory / "state" / "records"
    wait_until(lambda: any(path.name.startswith("spare-") for path in records.iterdir()))
    inside, odd = Path(ended.sandbox, "inside"), records / "notes.txt"
    inside.mkdir()
    odd.touch()
    subprocess.run(["mount", "-t", "tmpfs", "none", inside], check=True)
    program = "import sys; sys.stdin.read()  # from paddock.launch.launcher import main"
    words = ["--agent-id", mine.agent_id, "--socket", str(mine.directory / "state" / "run" / "other.sock")]
    try:
        with subprocess.Popen([sys.executable, "-c", program, *words], stdin=subprocess.PIPE) as stray:
            wait_until(lambda: Path(f"/proc/{stray.pid}/cmdline").read_bytes().count(b"other.sock") == 1)
            code, found = paddock("doctor", agents=agentds)
            assert code == 1
            assert {name: each["remedy"] for name, each in wrong(found).items()} == {
                str(stray.pid): f"look at it, then `kill {stray.pid}`",
                str(inside): f"`umount {inside}`",
                str(odd): f"look at it, then remove {odd} by hand",
            }
            own = [each for each in found if each["agent_id"] == mine.agent_id]
            assert {each["kind"] for each in own} >= {"agent", "launcher", "socket", "records", "sandboxes"}
            (sandboxes,) = [str(each["why"]) for each in own if each["kind"] == "sandboxes"]
            assert int(sandboxes.partition(" ")[0]) == len(list(Path(ended.sandbox).parent.iterdir()))
            assert paddock("gc", agents=agentds) == (0, [])
            assert not wrong(paddock("doctor", agents=(others,))[1])
            assert stray.poll() is None
    finally:
        subprocess.run(["umount", inside], check=True)
        odd.unlink()
    assert paddock("doctor", agents=agentds)[0] == 0


@pytest.mark.parametrize("is_down", [True, False], ids=["agentd down", "agentd up"])
def test_what_is_left_is_named_and_removed_and_anothers_is_not_touched(
    agentds: tuple[AgentdProcess, AgentdProcess], is_down: bool, tmp_path: Path
) -> None:
    mine, others = agentds
    orphans = [orphan_cgroups(each, "orphan") for each in agentds]
    sockets = [dead_socket(each, "deaf") for each in agentds]
    stale = [each.directory / "state" / "records" / "stale.json.new" for each in agentds]
    for path in stale:
        path.touch(mode=0o600)
    foreign = [Path(point, f"other-{os.getpid()}") for point in cgroup_points()]
    for path in foreign:
        path.mkdir()
    inside = subprocess.Popen(["sleep", "1000"])
    for orphan in orphans[0]:
        procs = orphan / "cgroup.procs"
        if orphan.parent.parent.name in {"cpu", "freezer", "pids"} or (orphan / "cgroup.kill").exists():
            procs.write_text(str(inside.pid))
    if is_down:
        mine.stop()
    try:
        code, found = paddock("doctor", agents=(mine,))
        assert code == 1
        named = wrong(found)
        assert named.keys() == {"orphan", "deaf", "stale"}
        assert all(each["agent_id"] == mine.agent_id and each["removable"] for each in named.values())
        assert "a socket that nobody serves" in str(named["deaf"]["why"])
        assert "a record that is not finished" in str(named["stale"]["why"])
        assert "1 processes" in str(named["orphan"]["why"])
        foreign_agents = {each["agent_id"] for each in found if each["verdict"] == "foreign"}
        assert others.agent_id in foreign_agents
        assert [each["outcome"] for each in paddock("gc", "--dry-run", agents=(mine,))[1]] == ["would go"] * 3
        assert all(path.exists() for path in (*orphans[0], sockets[0], stale[0]))
        code, gone = paddock("gc", agents=(mine,))
        assert (code, [each["outcome"] for each in gone]) == (0, ["gone"] * 3)
        assert not any(path.exists() for path in (*orphans[0], sockets[0], stale[0]))
        assert inside.wait(10) == -signal.SIGKILL
        assert all(path.exists() for path in (*orphans[1], sockets[1], stale[1], *foreign))
        assert paddock("doctor", agents=(mine,))[0] == 0
        assert paddock("gc", agents=(others,))[0] == 0
        assert not any(path.exists() for path in (*orphans[1], sockets[1], stale[1]))
    finally:
        inside.kill()
        inside.wait()
        for path in foreign:
            path.rmdir()


@pytest.mark.no_cgroups
async def test_an_agent_that_comes_back_sweeps_its_own_orphans_and_sees_nothing_of_the_other(
    agentds: tuple[AgentdProcess, AgentdProcess],
) -> None:
    """Both have a container of the same id, a process in an orphaned cgroup of the same name, and a socket of nobody."""
    mine, others = agentds
    running = []
    for each in agentds:
        async with calling(each.address) as agent:
            running.append(await agent.launch(SLEEP, until=RUNNING, container_id="same"))
    orphans = [orphan_cgroups(each, "orphan") for each in agentds]
    sockets = [dead_socket(each, "deaf") for each in agentds]
    inside = [subprocess.Popen(["sleep", "1000"]) for _ in agentds]
    try:
        for process, paths in zip(inside, orphans, strict=True):
            for path in paths:
                if path.parent.parent.name in {"cpu", "freezer", "pids"} or (path / "cgroup.kill").exists():
                    (path / "cgroup.procs").write_text(str(process.pid))
        os.kill(mine.launcher_pid(), signal.SIGKILL)
        mine.crash()
        mine.start()
        assert inside[0].wait(30 * TIME_SCALE) == -signal.SIGKILL
        wait_until(lambda: not any(path.exists() for path in (*orphans[0], sockets[0])))
        async with calling(mine.address) as agent:
            assert [(each.container_id.value, each.pid) for each in await agent.list()] == [("same", running[0].pid)]
            await agent.kill(running[0], grace_ms=0)
            await agent.wait(running[0])
        assert_gone(running[0].pid)
        assert inside[1].poll() is None
        assert all(path.exists() for path in (*orphans[1], sockets[1]))
        async with calling(others.address) as agent:
            assert [(each.container_id.value, each.pid) for each in await agent.list()] == [("same", running[1].pid)]
            assert running[1].state == (await agent.get(running[1])).state
            await agent.kill(running[1], grace_ms=0)
            ended = (await agent.wait(running[1])).termination
        assert ended.reason == tasks_pb2.REASON_KILL_GRACE_EXPIRED
        assert paddock("gc", agents=(others,))[0] == 0
        assert inside[1].wait(10 * TIME_SCALE) == -signal.SIGKILL
    finally:
        for process in inside:
            process.kill()
            process.wait()


@pytest.mark.no_cgroups
async def test_a_container_whose_shim_died_while_agentd_was_down_is_ended_and_its_truth_kept(
    agentds: tuple[AgentdProcess, AgentdProcess],
) -> None:
    mine, _ = agentds
    async with calling(mine.address) as agent:
        running = await agent.launch(shell("sleep 1000 & wait"), until=RUNNING)
        healthy = await agent.launch(SLEEP, until=RUNNING)
    name = running.container_id.value
    mine.stop()
    launcher = mine.launcher_pid()
    os.kill(launcher, signal.SIGKILL)  # else it sweeps at once
    assert_gone(launcher)
    os.kill(running.shim_pid, signal.SIGKILL)
    assert_gone(running.shim_pid)
    code, found = paddock("doctor", agents=(mine,))
    assert (code, list(wrong(found))) == (1, [name])
    code, gone = paddock("gc", agents=(mine,))
    assert (code, [each["name"] for each in gone]) == (0, [name])
    assert not any(name in path for path in mine.cgroups())
    code, found = paddock("doctor", agents=(mine,))
    assert code == 0
    assert [each["verdict"] for each in found if each["name"] == name] == ["waits"]
    assert paddock("gc", agents=(mine,)) == (0, [])
    mine.start()
    async with calling(mine.address) as agent:
        ended = await agent.wait(running)
        assert ended.termination.reason == tasks_pb2.REASON_SUPERVISOR_LOST
        assert (await agent.get(healthy)).pid == healthy.pid
        await agent.kill(healthy, grace_ms=0)
        await agent.wait(healthy)


@pytest.mark.no_cgroups
def test_who_is_not_root_is_told_so(agentds: tuple[AgentdProcess, AgentdProcess]) -> None:
    script = (
        "import os, sys; from paddock.cli.__main__ import main; import paddock.cli.doctor; import asyncio, logging; "
    )
    script += (
        "import paddock.cli.outcome, paddock.doctor.reading, paddock.doctor.judging; os.setuid(65534); main(['doctor'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "run it as root" in done.stderr


@pytest.mark.no_cgroups
def test_what_is_young_is_left_alone(agentds: tuple[AgentdProcess, AgentdProcess]) -> None:
    mine, _ = agentds
    path = dead_socket(mine, "young")
    assert paddock("gc", "--min-age=1h", agents=(mine,)) == (0, [])
    assert path.exists()
    assert paddock("gc", agents=(mine,))[0] == 0
    assert not path.exists()


@pytest.mark.no_cgroups
@pytest.mark.parametrize("words", [("--state-dir=/nonexistent",), ("--state-dir=state",), ("--min-age=soon",)])
def test_bad_input_names_the_flag(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "paddock.cli", "doctor", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert words[0].partition("=")[0] in done.stderr
