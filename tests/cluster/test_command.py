"""The `paddock` command against a real master and agent on this host."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from paddock.cli import run
from paddock.cli.run_framework import run_request
from paddock.cli.run_streams import OutputStreams
from paddock.metrics.pages import FRESH_S
from paddock.model.errors import InvalidRequest
from paddock.model.framework import FrameworkInfo
from paddock.scheduler import Offered, Scheduler
from testbed.one_host import OneHost
from tests.cluster.conftest import PADDOCK, Background, Command
from tests.descriptors import descriptors_of
from tests.scraping import assert_promtool_takes, get, scrape

pytestmark = pytest.mark.timeout(180)

NOBODY = 65534


def test_both_outputs_come_back_apart_and_the_code_too(paddock: Command) -> None:
    done = paddock("run", "--", "/bin/sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_what_is_closed_keeps_nothing_from_its_end(paddock: Command, closed: str) -> None:
    script = f"exec '{PADDOCK}' run -- /bin/sh -c 'echo out; echo err >&2; exit 7' {closed}"
    done = subprocess.run(
        ["/bin/bash", "-c", script], capture_output=True, check=False, timeout=60, env=paddock.environment
    )
    out, err = b"" if " >&-" in f" {closed}" else b"out\n", b"" if "2>&-" in closed else b"err\n"
    assert (done.returncode, done.stdout, done.stderr) == (7, out, err)


@pytest.mark.parametrize("then", ["", "; exec sleep 1000"])
def test_output_that_cannot_be_written_is_no_success(paddock: Command, then: str) -> None:
    script = f"exec '{PADDOCK}' run -- /bin/sh -c 'echo out{then}' >/dev/full"
    done = subprocess.run(
        ["/bin/bash", "-c", script], capture_output=True, check=False, timeout=60, env=paddock.environment
    )
    assert (done.returncode, done.stderr) == (1, b"paddock run: stdout: No space left on device\n")


def test_success_says_nothing(paddock: Command) -> None:
    done = paddock("run", "--", "/bin/true")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_five_mebibytes_come_whole(paddock: Command) -> None:
    script = "import sys, hashlib; data = bytes(range(256)) * 20480; sys.stdout.buffer.write(data)"
    done = paddock("run", "--mem=96MiB", "--", "python3", "-c", script)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(bytes(range(256)) * 20480).digest()


@pytest.mark.parametrize("file_count", [8, 2])
def test_what_was_rotated_before_a_reader_came_is_shown_or_counted(paddock: Command, file_count: int) -> None:
    """Of 400 KiB, 8 files of 64 KiB keep all, and 2 the last part: it begins with the oldest byte that is there."""
    lines = b"".join(b"%07d\n" % number for number in range(50 * 1024))
    script = "import sys; sys.stdout.write(''.join('%07d\\n' % number for number in range(50 * 1024)))"
    done = paddock("run", "--log-size=64KiB", f"--log-files={file_count}", "--", "python3", "-c", script)
    assert done.returncode == 0, done.stderr
    told = [int(count) for count in re.findall(rb"(\d+) bytes of stdout are lost", done.stderr)]
    assert len(done.stdout) + sum(told) == len(lines)
    assert len(done.stdout) > (file_count - 1) * 64 * 1024 or not told
    if file_count == 8:
        assert (done.stdout, done.stderr) == (lines, b"")
    assert done.stdout[-64 * 1024 :] == lines[-64 * 1024 :]


def test_output_streams_while_it_runs(paddock: Command) -> None:
    process = paddock.start("run", "--", "/bin/sh", "-c", "echo first; sleep 60")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"first\n"
        assert process.poll() is None
    finally:
        Background(process=process, task_id="").end()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--", "/nonexistent/program"), 127, b"No such file"),
        (("--", "no-such-program-anywhere"), 127, b"no-such-program-anywhere"),
        (("--", "/etc/passwd"), 126, b"ermission"),
        (("--user=no-such-user-here", "--", "/bin/true"), 125, b"no-such-user-here"),
        (("--timeout=300ms", "--", "/bin/sleep", "60"), 124, b""),
        (("--", "/bin/sh", "-c", "kill -SEGV $$"), 139, b"SIGSEGV"),
        (("--mem=48MiB", "--", "python3", "-c", "x = b'x' * (200 << 20)"), 137, b"emory"),
    ],
)
def test_what_went_wrong_has_its_code_and_is_said(
    paddock: Command, words: tuple[str, ...], code: int, said: bytes
) -> None:
    done = paddock("run", *words)
    assert done.returncode == code, done.stderr
    assert done.stdout == b""
    assert done.stderr.startswith(b"paddock run: ")
    assert said in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_launch_that_failed_is_told_in_one_line(paddock: Command) -> None:
    """There is no output to follow, and its absence says nothing more."""
    done = paddock("run", "--uri=file:///no-such-file", "--", "/bin/true")
    assert (done.returncode, done.stdout) == (125, b"")
    (line,) = done.stderr.splitlines()
    assert line.startswith(b"paddock run: the launch stopped at fetch: file:///no-such-file")


def test_output_that_is_not_there_is_said_once(paddock: Command, capfd: pytest.CaptureFixture[str]) -> None:
    async def follow() -> None:
        streams = OutputStreams(on_unwritable=lambda _: None)
        streams.start(paddock.host.agent_address, "no-such-container")
        await streams.drain(was_launched=True)

    paddock.host.run(follow())
    (line,) = capfd.readouterr().err.splitlines()
    assert re.fullmatch(
        r"paddock run: the task's (stdout and stderr|stderr and stdout) cannot be followed: .*'no-such-container'.*",
        line,
    )


def test_environment_name_directory_and_limits_arrive(paddock: Command) -> None:
    script = 'echo "$GREETING|$PWD|$PADDOCK_TASK_ID|$MESOS_TASK_ID"'
    done = paddock("run", "--env=GREETING=a b=c", "--workdir=/", "--name=named", "--", "/bin/sh", "-c", script)
    greeting, directory, ours, mesos = done.stdout.decode().strip().split("|")
    assert (greeting, directory) == ("a b=c", "/")
    assert ours == mesos
    assert ours.startswith("named-")


def test_the_task_runs_as_the_named_user(paddock: Command) -> None:
    done = paddock("run", "--user=nobody", "--", "/usr/bin/id", "-u")
    assert (done.returncode, done.stdout) == (0, b"65534\n"), done.stderr


def test_an_environment_of_a_mebibyte_arrives_and_a_larger_string_is_refused(paddock: Command) -> None:
    pieces = [f"--env=V{number}={'x' * 100_000}" for number in range(9)]
    done = paddock("run", *pieces, "--", "/bin/sh", "-c", "echo ${#V0} ${#V8}")
    assert (done.returncode, done.stdout) == (0, b"100000 100000\n"), done.stderr[:300]


def test_when_no_offer_fits_it_is_said_and_given_up(paddock: Command) -> None:
    done = paddock("run", "--cpus=5000", "--offer-timeout=2s", "--", "/bin/true")
    assert done.returncode == 124
    assert b"cpus:5000" in done.stderr


def test_powers_rlimits_and_labels_are_the_tasks(paddock: Command) -> None:
    flags = ("--cap-drop=ALL", "--cap-add=KILL", "--ulimit=nofile=64:99", "--label=kind=odd", "--name=bounded")
    script = "ulimit -Sn; ulimit -Hn; grep CapBnd /proc/self/status"
    done = paddock("run", *flags, "--", "/bin/sh", "-c", script)
    assert done.stdout.split() == [b"64", b"99", b"CapBnd:", b"0000000000000020"], done.stderr
    assert "kind=odd" in paddock.text("describe", paddock.task("bounded", "finished"))


def test_an_image_waits_for_an_agent_that_runs_docker(paddock: Command) -> None:
    """The agent of this host runs native containers only: its offers are left to others, and nothing is launched."""
    done = paddock("run", "--docker=busybox", "--publish=80", "--offer-timeout=1s")
    assert done.returncode == 124
    assert b"ports:any of an agent that runs docker" in done.stderr
    agents = paddock("agents", "-o", "json")
    assert b'"containerizers": ["native"]' in b" ".join(agents.stdout.split()).replace(b"[ ", b"[").replace(b" ]", b"]")
    refused = paddock("run", "--docker=busybox", "--network=host", "--publish=80")
    assert refused.returncode == 2
    assert b"--publish" in refused.stderr


def test_a_run_that_fails_by_itself_ends_and_gives_its_offers_back(paddock: Command, cluster: OneHost) -> None:
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    request = run.request_of(argparse.Namespace(**vars(parser.parse_args([])), command=["echo", "\udcff"]))

    async def scene() -> None:
        async with asyncio.timeout(30):
            await run_request(request, (cluster.master_address,))

    with pytest.raises(InvalidRequest, match="cannot be sent"):
        asyncio.run(scene())
    assert paddock("run", "--offer-timeout=20s", "--", "/bin/true").returncode == 0


def test_ctrl_c_kills_the_task_by_its_policy(paddock: Command) -> None:
    process = paddock.start(
        "run",
        "--name=interrupted",
        "--grace=60s",
        "--",
        "/bin/sh",
        "-c",
        "trap 'echo bye; exit 3' INT TERM; echo up; while :; do sleep 0.05; done",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    rest, words = process.communicate(timeout=60)
    assert rest == b"bye\n"
    assert process.returncode == 3, words
    paddock.task("interrupted", "killed")


def test_a_second_ctrl_c_kills_at_once(paddock: Command) -> None:
    process = paddock.start(
        "run",
        "--grace=600s",
        "--",
        "/bin/sh",
        "-c",
        "trap 'echo heard' INT TERM; echo up; while :; do sleep 0.05; done",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"heard\n"
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 137


def test_a_killed_command_takes_its_task_with_it(paddock: Command) -> None:
    process = paddock.start("run", "--name=abandoned", "--", "/bin/sleep", "600")
    task = paddock.task("abandoned", "running")
    process.kill()
    process.communicate(timeout=60)
    done = paddock("wait", task, "--timeout=60s")
    assert done.stdout == b"killed\n", done.stderr


def test_ps_shows_it_in_every_style(paddock: Command, sleeper: Background) -> None:
    assert sleeper.task_id in paddock.text("ps", "-o", "name").split()
    lines = paddock.text("ps").splitlines()
    assert lines[0].split() == ["TASK", "NAME", "STATE", "HOST", "AGE"]
    assert any(line.split()[0] == sleeper.task_id and "running" in line for line in lines)
    assert "cpus:0.2;mem:48;disk:64" in paddock.text("ps", "-o", "wide", "--no-headers")
    document = json.loads(paddock.text("ps", "-o", "json"))
    assert [task["state"] for task in document if task["task"]["task_id"] == sleeper.task_id] == ["TASK_RUNNING"]


def test_describe_and_inspect_tell_everything(paddock: Command, sleeper: Background) -> None:
    told = paddock.text("describe", sleeper.task_id[:-2])
    for word in ("State:", "running", "Sandbox:", "Cgroups:", "Memory:", "Limits:", "History:", "paddock-"):
        assert word in told, told
    document = json.loads(paddock.text("inspect", sleeper.task_id))
    assert document["task"]["task"]["task_id"] == sleeper.task_id
    assert document["container"]["state"] == "CONTAINER_RUNNING"
    assert {limit["resource"] for limit in document["limits"]} >= {"cpus", "mem", "mem limit", "pids limit", "disk"}
    assert int(document["statistics"]["statistics"]["memory_usage_bytes"]) > 0


def test_explain_of_what_has_ended_says_that_nothing_is_in_force(paddock: Command) -> None:
    assert paddock("run", "--name=over", "--", "/bin/true").returncode == 0
    task_id = paddock.task("over", "finished")
    done = paddock("explain", task_id, "-o", "json")
    assert (done.returncode, json.loads(done.stdout)["limits"]) == (0, [])
    assert f"task '{task_id}' has ended" in done.stderr.decode()


def test_explain_names_the_kernels_files_and_what_they_say(paddock: Command, sleeper: Background) -> None:
    rows = json.loads(paddock.text("explain", sleeper.task_id, "-o", "json"))["limits"]
    for row in rows:
        if row["path"].startswith("/sys/fs/cgroup/"):
            with open(row["path"], encoding="utf-8") as file:
                assert file.read().strip() == row["in_force"], row
    in_force = {row["path"].rpartition("/")[2]: row["in_force"] for row in rows}
    assert in_force.get("memory.limit_in_bytes", in_force.get("memory.max")) == str(48 << 20)
    assert in_force["pids.max"] == "50"
    assert "RESOURCE" in paddock.text("explain", sleeper.task_id)


def test_completion_knows_ids_from_the_master(paddock: Command, sleeper: Background) -> None:
    (line,) = paddock.text("__complete", "kill", sleeper.task_id[:-1]).splitlines()
    assert line.split("\t") == [sleeper.task_id, line.split("\t")[1]]
    assert line.endswith(" running")
    host, agent = paddock.host, paddock.host.agent_id
    assert f"{agent}\t" in paddock.text("__complete", "drain", agent[:8])
    assert paddock("__complete", "ps", "--framework", "").stdout
    # Another master named on the line is the one that is asked.
    assert not paddock.text("__complete", f"--master=unix:{host.directory}/nobody.sock", "drain", "")


def test_a_name_that_a_shell_would_obey_is_no_candidate(cluster: OneHost, paddock: Command) -> None:
    hostile = "paddock;touch$IFS/nothing"
    process = paddock.start("run", f"--name={hostile}", "--", "/bin/sleep", "60")
    try:
        task = paddock.task(hostile, "running")
        for line in paddock.text("__complete", "kill", "").splitlines():
            assert ";" not in line.split("\t")[0]
        assert task in paddock.text("__complete", "kill", "")
    finally:
        Background(process=process, task_id="").end()


def test_logs(paddock: Command, sleeper: Background) -> None:
    assert paddock.text("logs", sleeper.task_id) == "hello\n"
    assert paddock.text("logs", "--stderr", sleeper.task_id) == "trouble\n"
    assert paddock.text("logs", "--tail=0", sleeper.task_id) == ""


def test_logs_of_one_that_has_ended_and_their_tail(paddock: Command) -> None:
    assert paddock("run", "--name=counted", "--", "seq", "5").returncode == 0
    task = paddock.task("counted", "finished")
    assert paddock.text("logs", "--tail=2", task) == "4\n5\n"
    assert paddock.text("logs", "-f", task) == "1\n2\n3\n4\n5\n"
    assert paddock("logs", "-f", "--tail=1", task).stdout == b"5\n"


def test_logs_follow_until_the_end(paddock: Command, sleeper: Background) -> None:
    follower = paddock.start("logs", "-f", sleeper.task_id)
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"hello\n"
    sleeper.end()
    assert follower.wait(timeout=60) == 0
    follower.communicate()


def test_exec_joins_the_task(paddock: Command, sleeper: Background) -> None:
    container = json.loads(paddock.text("inspect", sleeper.task_id))["container"]["container_id"]["value"]
    line = "echo in; echo err >&2; cat /proc/self/cgroup; exit 5"
    done = paddock("exec", sleeper.task_id, "--", "/bin/sh", "-c", line)
    assert done.returncode == 5, done.stderr
    assert done.stdout.startswith(b"in\n")
    assert f"/{container}\n".encode() in done.stdout
    assert done.stderr == b"err\n"


def test_exec_takes_stdin_and_environment(paddock: Command, sleeper: Background) -> None:
    data = bytes(range(256)) * 1000
    done = paddock("exec", "-i", sleeper.task_id, "--", "/bin/cat", stdin=data)
    assert (done.returncode, done.stdout) == (0, data), done.stderr
    done = paddock("exec", "-e", "A=b", sleeper.task_id, "--", "/bin/sh", "-c", "echo $A; kill -9 $$")
    assert (done.returncode, done.stdout) == (137, b"b\n"), done.stderr


def test_exec_without_stdin_sees_its_end(paddock: Command, sleeper: Background) -> None:
    done = paddock("exec", sleeper.task_id, "--", "/bin/cat")
    assert (done.returncode, done.stdout) == (0, b""), done.stderr


def test_exec_ends_with_its_command_though_stdin_stays_open(paddock: Command, sleeper: Background) -> None:
    read_end, write_end = os.pipe()
    try:
        done = subprocess.run(
            [PADDOCK, "exec", "-i", sleeper.task_id, "--", "/bin/sh", "-c", "read line; echo got $line"],
            stdin=_fed(read_end, write_end),
            capture_output=True,
            check=False,
            timeout=60,
            env=paddock.environment,
        )
        assert (done.returncode, done.stdout) == (0, b"got one\n"), done.stderr
    finally:
        os.close(read_end)
        os.close(write_end)


def _fed(read_end: int, write_end: int) -> int:
    os.write(write_end, b"one\n")
    return read_end


def wait_for_call(pid: int) -> None:
    """Its start, in which Ctrl-C is Python's to answer, is over: an event loop has two sockets of its own before that."""
    deadline_s = time.monotonic() + 20
    while sum(each.startswith("socket:") for each in descriptors_of(pid).values()) < 3:
        assert time.monotonic() < deadline_s, f"process {pid} calls nobody"
        time.sleep(0.01)


@pytest.mark.parametrize("words", [("logs", "-f"), ("wait",), ("exec",)])
def test_ctrl_c_ends_what_only_looks(paddock: Command, sleeper: Background, words: tuple[str, ...]) -> None:
    more = ("--", "/bin/sh", "-c", "echo hello; exec sleep 600") if words[0] == "exec" else ()
    process = paddock.start(*words, sleeper.task_id, *more)
    assert process.stdout is not None
    if words[0] == "wait":
        wait_for_call(process.pid)
    else:
        assert process.stdout.readline() == b"hello\n"
    process.send_signal(signal.SIGINT)
    _, words_said = process.communicate(timeout=60)
    assert (process.returncode, words_said) == (130, b"")
    assert b"running" in paddock("ps").stdout


def test_exec_of_what_is_not_there(paddock: Command, sleeper: Background) -> None:
    done = paddock("exec", sleeper.task_id, "--", "/nonexistent/program")
    assert done.returncode == 127, done.stderr
    assert b"Traceback" not in done.stderr


def test_kill_and_wait(paddock: Command, sleeper: Background) -> None:
    done = paddock("wait", "--timeout=200ms", sleeper.task_id)
    assert done.returncode == 124
    assert paddock.text("kill", "--signal=TERM", "--grace=5s", sleeper.task_id) == ""
    done = paddock("wait", sleeper.task_id)
    assert (done.returncode, done.stdout) == (143, b"killed\n")
    assert done.stderr.startswith(b"paddock wait: ")
    again = paddock("kill", sleeper.task_id)
    assert again.returncode == 4
    assert b"has ended already" in again.stderr
    changed = paddock("update", sleeper.task_id, "--mem=64MiB")
    assert (changed.returncode, b"has ended already: killed" in changed.stderr) == (4, True)


def test_what_the_master_knows(paddock: Command, sleeper: Background) -> None:
    agents = json.loads(paddock.text("agents", "-o", "json"))
    assert len(agents) == 1
    assert agents[0]["state"] == "AGENT_ACTIVE"
    mounted = {line.partition(" - ")[2].split()[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    layouts = {("cgroup",): "v1", ("cgroup2",): "v2", ("cgroup", "cgroup2"): "hybrid"}
    assert agents[0]["info"]["cgroup_mode"] == layouts[tuple(sorted(mounted & {"cgroup", "cgroup2"}))]
    assert re.search(r"active\s+0\.2/\d", paddock.text("agents"))
    frameworks = paddock.text("frameworks")
    assert "active" in frameworks
    assert len(json.loads(paddock.text("frameworks", "-o", "json"))) >= 1


def test_offers_show_who_holds_what(paddock: Command, cluster: OneHost) -> None:
    async def while_it_is_held() -> tuple[str, str]:
        async with asyncio.timeout(60), Scheduler(cluster.master_address, FrameworkInfo(name="holds")) as scheduler:
            async for event in scheduler:
                if isinstance(event, Offered):
                    return event.offers[0].offer_id, await asyncio.to_thread(paddock.text, "offers", "--no-headers")
        raise AssertionError("no offer came")

    offer_id, shown = cluster.run(while_it_is_held())
    (line,) = [line.split() for line in shown.splitlines() if line.startswith(offer_id)]
    assert line[2] == "*"
    assert "cpus:" in line[-1]


def test_what_is_not_there_and_what_is_ambiguous(paddock: Command, sleeper: Background) -> None:
    for verb in ("describe", "inspect", "logs", "kill", "wait", "explain"):
        done = paddock(verb, "no-such-task")
        assert done.returncode == 3, (verb, done.stderr)
        assert done.stdout == b""
        assert done.stderr.startswith(f"paddock {verb}: task 'no-such-task' does not exist: `paddock ps -a` ".encode())
    assert paddock("exec", "no-such-task", "--", "true").returncode == 3
    common = sleeper.task_id[:5]
    again = paddock.start("run", f"--name={sleeper.task_id[:20]}", "--", "/bin/sleep", "60")
    try:
        paddock.task(sleeper.task_id[:20], "running")
        done = paddock("describe", common)
        assert done.returncode == 4
        assert b"is the beginning of" in done.stderr
    finally:
        Background(process=again, task_id="").end()


def test_who_is_not_of_the_group_does_not_come_in(paddock: Command) -> None:
    for verb in ("ps", "agents"):
        done = paddock(verb, user=NOBODY)
        assert (done.returncode, done.stdout) == (5, b""), done.stderr
        assert done.stderr.count(b"\n") == 1


def test_another_user_of_the_group_runs_as_itself_only(paddock: Command, sleeper: Background) -> None:
    done = paddock("run", "--", "/usr/bin/id", "-u", user=NOBODY, group=0)
    assert (done.returncode, done.stdout) == (0, b"65534\n"), done.stderr
    done = paddock("run", "--user=root", "--", "/usr/bin/id", "-u", user=NOBODY, group=0)
    assert (done.returncode, done.stdout) == (125, b""), done.stderr
    for words in (("exec", sleeper.task_id, "--", "/usr/bin/id"), ("logs", sleeper.task_id), ("kill", sleeper.task_id)):
        done = paddock(*words, user=NOBODY, group=0)
        assert (done.returncode, done.stdout) == (5, b""), (words, done.stderr)
        assert b"Traceback" not in done.stderr
    assert sleeper.process.poll() is None


def test_a_reader_that_goes_away_is_no_error_to_shout_about(paddock: Command) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{PADDOCK}' run -- seq 200000 | head -1"],
        capture_output=True,
        check=False,
        timeout=120,
        env=paddock.environment,
    )
    assert done.stdout == b"1\n"
    assert b"Traceback" not in done.stderr


def test_monitoring_sees_what_the_command_sees(paddock: Command, cluster: OneHost, sleeper: Background) -> None:
    pages = {name: f"{cluster.directory}/{name}.sock.http" for name in ("masterd", "agentd")}
    assert {name: get(path, "/readyz")[0] for name, path in pages.items()} == {"masterd": 200, "agentd": 200}
    assert_promtool_takes(pages["agentd"])
    assert paddock("run", "--", "/bin/sh", "-c", "exit 3").returncode == 3
    time.sleep(FRESH_S * 1.2)  # what was asked before is told no more
    master = scrape(pages["masterd"])
    assert master["masterd_agents", "state=connected"] == 1
    assert master["masterd_tasks", "state=running"] >= 1
    assert master["masterd_resources", "part=used", "resource=cpus"] >= 0.2
    assert master["masterd_offers_ended_total", "outcome=accepted"] >= 2
    assert master["masterd_tasks_ended_total", "reason=command_exited", "source=agent", "state=failed"] >= 1
    assert 0 < master["masterd_role_dominant_share", "role=*"] <= 1
    assert master["masterd_registry_write_seconds_count",] >= 1
    agent = scrape(pages["agentd"])
    assert agent["agentd_master_connected",] == 1
    assert agent["agentd_master_changed_timestamp_seconds",] > 1.7e9
    assert agent["agentd_containers_ended_total", "reason=command_exited", "state=failed"] >= 1
    pids = {key[2]: value for key, value in agent.items() if key[0] == "agentd_container_pids_limit"}
    assert pids[f"task_id={sleeper.task_id}"] == 50
