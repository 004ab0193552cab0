"""Docker tasks through the whole path: command, master, agent, engine, and the truth back again."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentd.docker import engine_life
from testbed.engine import images
from testbed.engine.engine import PATIENCE_S, Engine
from testbed.one_host import OneHost
from tests.cluster.conftest import Background, Command
from tests.cluster.pages import DOCS, blocks_of, missing, run_page
from tests.engine.held import wait_for
from tests.engine.registry import running_registry

pytestmark = [pytest.mark.no_cgroups, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def host(engine: Engine) -> Iterator[OneHost]:
    settings = ["--containerizers=docker,native", f"--docker-socket={engine.socket}", "--docker-call-timeout=5s"]
    made = OneHost.make(agent_arguments=settings)
    try:
        made.start()
        yield made
        wait_until_gone(engine)
    finally:
        made.stop()


def left_in(engine: Engine) -> list[str]:
    """Of agents; other tests of the session have theirs."""
    with images.client(engine) as api:
        found = api.containers(all=True, filters={"label": "paddock.container-id"})
    return [each["Names"][0] for each in found]


def kill_agent(host: OneHost) -> None:
    host.agentd.send(signal.SIGKILL)
    host.agentd.stop()


def wait_until_gone(engine: Engine) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while left_in(engine):
        assert time.monotonic() < deadline_s, left_in(engine)
        time.sleep(0.05)


def says_ready(running: subprocess.Popen[bytes]) -> None:
    """Its command has come so far: it runs before that."""
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"


def docker(*words: str, image: str = images.BUSYBOX) -> tuple[str, ...]:
    return ("run", f"--docker={image}", "--network=none", *words)


def described(paddock: Command, name: str) -> dict[str, Any]:
    tasks = json.loads(paddock.text("ps", "-a", "-o", "json"))
    (found,) = [task for task in tasks if task["task"].get("name") == name]
    return dict(found)


def last_reason(paddock: Command, name: str) -> str:
    statuses = described(paddock, name)["statuses"]
    assert isinstance(statuses, list)
    return str(statuses[-1].get("reason", ""))


def newest(paddock: Command, name: str) -> str:
    tasks = [task for task in json.loads(paddock.text("ps", "-a", "-o", "json")) if task["task"].get("name") == name]
    return str(tasks[-1]["task"]["task_id"])


def test_output_and_exit_code_come_back_and_nothing_stays(paddock: Command, engine: Engine) -> None:
    done = paddock(*docker("--", "sh", "-c", "echo out $PADDOCK_SANDBOX; echo err >&2; exit 7"))
    assert (done.returncode, done.stdout) == (7, b"out /mnt/paddock/sandbox\n"), done.stderr
    assert b"err\n" in done.stderr
    wait_until_gone(engine)


def test_an_odd_image_runs_as_it_says(paddock: Command) -> None:
    done = paddock(*docker("--image-user", image=images.ODD))
    assert done.stdout.decode() == ("in /a place as guest, COLOUR=light blue:\n<first word>\n<default command>\n"), (
        done.stderr
    )
    done = paddock(*docker("--entrypoint=/bin/id", "--", "-u", image=images.ODD))
    assert done.stdout == b"0\n", done.stderr


def test_what_is_said_to_the_engine_is_so(paddock: Command) -> None:
    said = [
        "--network=bridge",
        "--publish=80",
        "--hostname=inner",
        "--dns=10.0.0.1",
        "--dns-search=example.com",
        "--dns-option=ndots:2",
        "--add-host=gate:10.9.8.7",
        "--read-only",
        "--tmpfs=/scratch:size=1MiB",
        "--volume=/proc/version:/given:ro",
        "--volume=kept:/kept",
        "--device=/dev/null:/dev/nothing:r",
        "--shm-size=3MiB",
        "--parameter=sysctl=net.core.somaxconn=77",
        "--cap-drop=ALL",
        "--cap-add=KILL",
        "--ulimit=nofile=64:99",
    ]
    script = (
        "hostname; grep gate /etc/hosts; cat /etc/resolv.conf; cat /given; cat /proc/sys/net/core/somaxconn; "
        "df -k /scratch /dev/shm | awk '{print $2, $6}'; wc -c < /dev/nothing; touch /kept/x /scratch/x && echo written; "
        "touch /given; touch /x; "
        "ulimit -Sn; ulimit -Hn; grep CapEff /proc/self/status"
    )
    done = paddock("run", f"--docker={images.BUSYBOX}", *said, "--", "sh", "-c", script)
    told = done.stdout.decode()
    for line in (
        "inner",
        "nameserver 10.0.0.1",
        "search example.com",
        "options ndots:2",
        "77",
        "0",
        "written",
        "64",
        "99",
    ):
        assert line in told.splitlines(), (line, told, done.stderr)
    assert re.search(r"10\.9\.8\.7\s+gate", told), told
    assert Path("/proc/version").read_text("utf-8") in told
    assert re.search(r"CapEff:\s+0000000000000020", told), told
    assert {"1024 /scratch", "3072 /dev/shm"} <= set(told.splitlines()), told
    assert done.stderr.count(b"Read-only file system") == 2, done.stderr
    assert re.search(rb"port 31\d\d\d of \S+ leads to 80/tcp", done.stderr), done.stderr


def test_native_and_docker_run_beside_each_other(paddock: Command) -> None:
    done = paddock("run", "--", "sh", "-c", "echo native in $PADDOCK_SANDBOX")
    assert done.stdout.startswith(b"native in /"), done.stderr


def test_limits_are_in_force_above_the_engines_cgroup_and_in_it(paddock: Command) -> None:
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max; sleep 1000"
    running = paddock.start(*docker("--name=limits", "--mem=48MiB", "--pids=33", "--", "sh", "-c", script))
    task = paddock.task("limits", "running")
    rows = {
        row["path"].rpartition("/")[2]: row["in_force"]
        for row in json.loads(paddock.text("explain", task, "-o", "json"))["limits"]
    }
    assert (rows["memory.limit_in_bytes"], rows["pids.max"]) == (str(48 << 20), "33")
    deadline_s = time.monotonic() + PATIENCE_S
    while paddock.text("logs", task).splitlines() != [str(48 << 20), "33"]:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    paddock.text("kill", task)
    running.communicate(timeout=PATIENCE_S)
    assert described(paddock, "limits")["state"] == "TASK_KILLED"


def test_memory_is_told_as_truthfully_as_for_native_tasks(paddock: Command) -> None:
    script = "sleep 0.2; exec dd if=/dev/zero of=/dev/null bs=100M count=1"
    done = paddock(*docker("--name=oom", "--mem=40MiB", "--", "sh", "-c", script))
    assert done.returncode != 0
    text = paddock.text("describe", paddock.task("oom", "failed"))
    assert "out of memory: the kernel killed its main process dd" in text, text
    assert "limit 40.0 MiB" in text, text
    # A child of one that lives on.
    script = "dd if=/dev/zero of=/dev/null bs=100M count=1; echo lives; exit 0"
    done = paddock(*docker("--name=oom-child", "--mem=40MiB", "--", "sh", "-c", script))
    assert (done.returncode, done.stdout) == (0, b"lives\n")
    text = paddock.text("describe", paddock.task("oom-child", "finished"))
    assert re.search(r"the kernel killed 1 of its processes for memory \(dd \d+\)", text), text


def test_a_child_that_the_kernel_kills_for_memory_is_told_while_its_task_runs(paddock: Command) -> None:
    script = "dd if=/dev/zero of=/dev/null bs=100M count=1; while true; do sleep 0.05; done"
    running = paddock.start(*docker("--name=lost-one", "--mem=40MiB", "--", "sh", "-c", script))
    task = paddock.task("lost-one", "running")
    deadline_s = time.monotonic() + PATIENCE_S
    while "has ended 1 of the container's processes" not in (text := paddock.text("describe", task)):
        assert time.monotonic() < deadline_s, text
        time.sleep(0.05)
    assert described(paddock, "lost-one")["state"] == "TASK_RUNNING"
    paddock.text("kill", task)
    running.communicate(timeout=PATIENCE_S)


def test_a_kill_goes_from_its_signal_to_sigkill(paddock: Command) -> None:
    script = "trap '' TERM; echo ready; while true; do sleep 0.05; done"
    running = paddock.start(*docker("--name=stubborn", "--grace=300ms", "--no-init", "--", "sh", "-c", script))
    task = paddock.task("stubborn", "running")
    says_ready(running)
    paddock.text("kill", task)
    running.communicate(timeout=PATIENCE_S)
    text = paddock.text("describe", paddock.task("stubborn", "killed"))
    assert "SIGTERM did not end it within its grace period" in text, text


def test_a_command_runs_inside_and_ends_with_its_code(paddock: Command) -> None:
    script = "echo secret > /tmp/mine; echo ready; while true; do sleep 0.05; done"
    running = paddock.start(*docker("--name=entered", "--", "sh", "-c", script))
    task = paddock.task("entered", "running")
    says_ready(running)
    inside = ("sh", "-c", "cat; cat /tmp/mine; echo err >&2; exit 9")
    done = paddock("exec", "-i", task, "--", *inside, stdin=b"given\n")
    assert (done.returncode, done.stdout) == (9, b"given\nsecret\n"), done.stderr
    assert b"err" in done.stderr
    paddock.text("kill", task)
    running.communicate(timeout=PATIENCE_S)


def test_its_health_is_asked_for_in_its_own_network(paddock: Command) -> None:
    """Nobody is asked on the host, where somebody else may have that port."""
    quick = ("--health-delay=0s", "--health-interval=100ms", "--health-grace=0s", "--health-failures=1")
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        words = docker("--name=deaf", f"--health-tcp={port}", *quick, "--", "sleep", "1000")
        done = paddock(*words)
    assert done.returncode != 0
    assert last_reason(paddock, "deaf") == "REASON_HEALTH_CHECK_FAILED", done.stderr
    assert b"refused" in done.stderr
    line = f"httpd -p 127.0.0.1:{port} -h /bin && exec sleep 1000"
    served = paddock.start(*docker("--name=served", f"--health-http={port}/sh", *quick[:2], "--", "sh", "-c", line))
    try:
        paddock.task("served", "running")
        deadline_s = time.monotonic() + PATIENCE_S
        while not any(status.get("healthy") for status in described(paddock, "served")["statuses"]):
            assert time.monotonic() < deadline_s, described(paddock, "served")
            time.sleep(0.05)
    finally:
        Background(process=served, task_id="").end()


def test_what_the_engine_refuses_is_told_in_its_words(paddock: Command, engine: Engine) -> None:
    done = paddock(*docker("--name=unknown", image="no/such/image:1"))
    assert done.returncode != 0
    assert b"no/such/image:1" in done.stderr, done.stderr
    assert last_reason(paddock, "unknown") == "REASON_IMAGE_PULL_FAILED"
    for init in ("--init", "--no-init"):
        done = paddock(*docker("--name=no-program", init, "--", "/no/such/program"))
        assert done.returncode == 127
        assert b"/no/such/program" in done.stderr, done.stderr
    wait_until_gone(engine)


def test_a_container_of_somebody_elses_keeps_its_name(paddock: Command, engine: Engine, host: OneHost) -> None:
    """Nothing is ours by its name alone, not even with our labels."""
    with images.client(engine) as api:
        labels = {"paddock.agent-id": host.agent_id, "paddock.container-id": "foreign"}
        name = f"paddock-{host.agent_id}-foreign"
        foreign = api.create_container(images.BUSYBOX, ["sleep", "1000"], name=name, labels=labels)["Id"]
        try:
            kill_agent(host)
            host.agentd.start()
            done = paddock(*docker("--", "true"))
            assert done.returncode == 0, done.stderr
            wait_for(lambda: len(left_in(engine)) <= 1, "its own stays")
            assert left_in(engine) == [f"/{name}"]
        finally:
            api.remove_container(foreign)


def test_a_task_outlives_agent_and_launcher(paddock: Command, host: OneHost) -> None:
    script = "i=0; while test $i -lt 40; do i=$((i+1)); echo $i; sleep 0.05; done; exit 5"
    running = paddock.start(*docker("--name=lives", "--", "sh", "-c", script))
    paddock.task("lives", "running")
    kill_agent(host)
    time.sleep(0.5)
    host.agentd.start()
    assert running.wait(PATIENCE_S) == 5
    task = paddock.task("lives", "failed")
    assert paddock.text("logs", task).split() == [str(number) for number in range(1, 41)]
    assert "exited with code 5" in paddock.text("describe", task)
    running.communicate()


def test_what_ended_while_nobody_looked_is_told(paddock: Command, host: OneHost, engine: Engine) -> None:
    running = paddock.start(*docker("--name=unseen", "--", "sh", "-c", "sleep 3; exit 6"))
    paddock.task("unseen", "running")
    kill_agent(host)
    time.sleep(3)
    host.agentd.start()
    assert running.wait(PATIENCE_S) == 6
    running.communicate()
    wait_until_gone(engine)


def test_a_hung_engine_hangs_nothing_of_ours(paddock: Command, host: OneHost, hurt_engine: Engine) -> None:
    loop = "while true; do sleep 0.05; done"
    lines = {"obeys": f"trap 'exit 3' TERM; {loop}", "defies": f"trap '' TERM; {loop}"}
    running = [
        paddock.start(*docker(f"--name={name}", "--grace=1s", "--no-init", "--", "sh", "-c", line))
        for name, line in lines.items()
    ]
    tasks = [paddock.task(name, "running") for name in lines]
    hurt_engine.pause()
    done = paddock("run", "--", "echo", "native")
    assert done.stdout == b"native\n", done.stderr
    done = paddock(*docker("--name=refused", "--", "true"))
    assert done.returncode != 0
    assert b"docker engine" in done.stderr.lower(), done.stderr
    assert last_reason(paddock, "refused") == "REASON_ENGINE_UNRESPONSIVE"
    deadline_s = time.monotonic() + 2 * PATIENCE_S
    while last_reason(paddock, "obeys") != "REASON_ENGINE_UNRESPONSIVE":
        assert time.monotonic() < deadline_s, paddock.text("describe", tasks[0])
    assert "docker engine unresponsive since 20" in paddock.text("describe", tasks[0])
    for task in tasks:
        paddock.text("kill", task)
    for each in running:
        each.communicate(timeout=PATIENCE_S)
    # Their stand-ins have waited for output that does not come; the grace periods are the commands' own.
    assert last_reason(paddock, "obeys") == "REASON_KILL_REQUESTED"
    assert last_reason(paddock, "defies") == "REASON_KILL_GRACE_EXPIRED"
    log = Path(host.directory, "agentd.log").read_text("utf-8")
    for task in tasks:
        (took_ms,) = re.findall(r"ended after (\d+) ms", paddock.text("describe", task))
        assert int(took_ms) < 1000 * engine_life.LAST_OUTPUT_S
        assert re.search(rf"of an end.*task_id={task}.*output after .* may be missing", log)
    assert [agent["state"] for agent in json.loads(paddock.text("agents", "-o", "json"))] == ["AGENT_ACTIVE"]
    hurt_engine.resume()
    wait_until_gone(hurt_engine)
    assert paddock(*docker("--", "true")).returncode == 0


def test_who_ended_while_the_engine_hung_and_was_killed_then_has_ended_by_itself(
    paddock: Command, hurt_engine: Engine
) -> None:
    """Its stand-in still waits for the rest of its output when the kill comes."""
    line = "while [ ! -e $MESOS_SANDBOX/go ]; do sleep 0.05; done; exit 4"
    running = paddock.start(*docker("--name=ends", "--no-init", "--", "sh", "-c", line))
    task = paddock.task("ends", "running")
    container = json.loads(paddock.text("inspect", task))["container"]
    hurt_engine.pause()
    Path(container["sandbox"], "go").touch()
    wait_for(lambda: not Path(f"/proc/{container['pid']}").exists(), "it does not end")
    # On a slow host its end has been told before.
    paddock("kill", task)
    running.communicate(timeout=PATIENCE_S)
    assert "exited with code 4" in paddock.text("describe", task)
    assert running.returncode == 4
    hurt_engine.resume()
    wait_until_gone(hurt_engine)
    wait_for(lambda: paddock(*docker("--", "true")).returncode == 0, "the agent does not see that it is back")


def test_a_task_that_its_engine_ended_says_so(paddock: Command, hurt_engine: Engine) -> None:
    """Without live-restore."""
    running = paddock.start(*docker("--name=served", "--no-init", "--", "sleep", "1000"))
    task = paddock.task("served", "running")
    hurt_engine.kill()
    hurt_engine.start()
    running.communicate(timeout=PATIENCE_S)
    told = paddock.text("describe", task)
    assert "ended by SIGKILL, which Paddock did not send, while its engine answered nobody" in told
    wait_until_gone(hurt_engine)


def test_an_image_that_is_removed_under_us_is_brought_again(paddock: Command, engine: Engine) -> None:
    with running_registry(engine) as registry, images.client(engine) as api:
        repository = f"{registry.address}/pulled"
        api.tag(images.BUSYBOX, repository, "1")
        assert "error" not in api.push(repository, "1")
        for _ in range(2):
            api.remove_image(f"{repository}:1")
            done = paddock(*docker("--name=brought", "--", "echo", "brought", image=f"{repository}:1"))
            assert done.stdout == b"brought\n", done.stderr
        assert f"image {repository}:1 is being pulled" in paddock.text("describe", newest(paddock, "brought"))
        api.remove_image(f"{repository}:1")


def test_what_the_engine_leaves_out_with_a_warning_is_told(paddock: Command) -> None:
    """Since Linux 5.0 cgroup v1 has no file for this."""
    assert paddock(*docker("--name=warned", "--parameter=blkio-weight=500", "--", "true")).returncode == 0
    assert "the engine warns: Your kernel does not support Block I/O weight" in paddock.text(
        "describe", newest(paddock, "warned")
    )


def test_a_kill_during_a_pull_says_nothing_of_output_that_never_was(paddock: Command, engine: Engine) -> None:
    with running_registry(engine, port=5008) as registry:
        registry.pause()
        image = f"{registry.address}/never:1"
        running = paddock.start(*docker("--name=waits", "--", "true", image=image))
        task = paddock.task("waits", "starting")
        paddock.text("kill", task)
        said = running.communicate(timeout=PATIENCE_S)[1].decode()
        registry.resume()
    assert described(paddock, "waits")["state"] == "TASK_KILLED"
    assert "cannot be followed" not in said


@pytest.mark.parametrize("place", ["/big", "/", "/volume"])
def test_what_is_written_into_image_and_volumes_counts_as_disk_and_is_named(paddock: Command, place: str) -> None:
    script = f"mkdir -p {place}; dd if=/dev/zero of={place}/file bs=1M count=40 2>/dev/null; sleep 1000"
    asked = ("--name=full", "--disk=16MiB", "--mem=128MiB", "--volume=filled:/volume")
    done = paddock(*docker(*asked, "--", "sh", "-c", script))
    assert done.returncode != 0
    text = paddock.text("describe", newest(paddock, "full"))
    assert "CONTAINER_LIMITATION_DISK" in text.upper(), text
    # What it had written when it was counted: more than it may, and not always all of it.
    assert re.search(rf"largest directories: {place} (1[6-9]|[234]\d)\d{{6}}\b", text), text


def test_the_page_of_docker_tasks_is_true(host: OneHost, engine: Engine) -> None:
    """Each of its commands, as it stands. Nothing is fetched for it: the image is ours, under the page's name."""
    page, (repository, tag) = DOCS / "howto/docker.md", ("busybox", "1.36")
    with images.client(engine) as api:
        api.tag(images.BUSYBOX, repository, tag)
        try:
            code, output = run_page(page, host, hostname=socket.gethostname())
        finally:
            api.remove_image(f"{repository}:{tag}")
    assert f"{repository}:{tag}" in page.read_text(encoding="utf-8")
    assert (code, missing(blocks_of(page), output)) == (0, []), output
