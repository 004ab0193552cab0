"""A host's disk is full to the last byte while tasks run and launches come: nothing is lost, it is said, it goes on again."""

from __future__ import annotations

import json
import time

import pytest

from testbed.three_hosts import MASTER, Testbed
from tests.testbed.patience import until
from tests.testbed.small_disk import SmallDisk
from tests.testbed.standing import STAY, Standing

pytestmark = pytest.mark.timeout(900)

HOST, OTHER = "agent1", "agent2"
WAITING = "until [ -e /var/tmp/end-now ]; do sleep 0.2; done; rm /var/tmp/end-now; exit 42"
# More than is left of the last page that the log has.
LARGE = f"exit 0 # {'x' * 60_000}"
SAID = "cannot be written"
_PAGE_BYTES = 4096
# In the log: as the task's, and as its container's.
_LINES_COPIES = 2


def started(standing: Standing, **lines: str) -> None:
    """All on the host whose disk it is about."""
    for task, line in lines.items():
        standing.launch(task, HOST, line)
    for task in lines:
        standing.becomes(task, "RUNNING")


def use_up_the_logs_page(testbed: Testbed, standing: Standing) -> None:
    """What the last page of the agent's log has room for could be written on a full disk all the same."""

    def size_bytes() -> int:
        """When nothing is written for a while: an acknowledgement comes after the end."""
        sizes = [-1, -2]
        while sizes[-1] != sizes[-2]:
            time.sleep(0.3)
            sizes.append(int(testbed.exec(HOST, "stat", "-c", "%s", "/var/lib/paddock/agentd/log").stdout))
        return sizes[-1]

    seen = [size_bytes()]
    life_bytes = padding_bytes = 0
    for number in range(20):
        left_bytes = -seen[-1] % _PAGE_BYTES
        if left_bytes < 300:
            return
        if life_bytes:
            padding_bytes = (left_bytes - life_bytes - 100) % _PAGE_BYTES // _LINES_COPIES
        standing.run(f"pads{number}", HOST, f"exit 0 # {'x' * padding_bytes}")
        seen.append(size_bytes())
        life_bytes = seen[-1] - seen[-2] - _LINES_COPIES * padding_bytes
    raise AssertionError(f"the log's last page is never used up: {seen}")


def end_now(testbed: Testbed) -> None:
    """The one that waits for it; its end is not to be told yet."""
    assert testbed.exec(HOST, "touch", "/var/tmp/end-now").returncode == 0
    until(lambda: testbed.exec(HOST, "test", "-e", "/var/tmp/end-now").returncode == 1, testbed.last_words)


def killed_by_9(testbed: Testbed, host: str, daemon: str, disk: SmallDisk) -> None:
    """And started again on a disk that is as full: what it had half written leaves some room."""
    for words in (["systemctl", "kill", "-s", "KILL", daemon], ["systemctl", "stop", daemon]):
        assert testbed.exec(host, *words).returncode == 0
    disk.fill()
    assert testbed.exec(host, "systemctl", "start", "--no-block", daemon).returncode == 0


def ended_once(standing: Standing, **codes: int) -> None:
    """Each by its own code, told once."""
    for task, code in codes.items():
        until(lambda task=task: standing.is_over(task), standing.words)  # type: ignore[misc]
        (end,) = [line for line in standing.heard(task) if line["state"] in {"FINISHED", "FAILED", "KILLED"}]
        assert end["exit_code"] == code, standing.words()


def test_an_agents_disk_is_full_and_nothing_is_lost(whole: Testbed) -> None:
    with SmallDisk(whole, HOST, "agentd") as disk, Standing(whole, "agent-full") as standing:
        started(standing, stays=f"{STAY}3", ends=WAITING, killed="exec sleep 1000")
        use_up_the_logs_page(whole, standing)
        disk.fill()
        found_out = standing.run("finds-out", HOST, LARGE)
        assert (found_out["state"], found_out["reason"]) == ("DROPPED", "AGENT_PROBLEM"), found_out
        assert SAID in found_out["message"], found_out
        assert "make room" in found_out["message"], found_out
        until(lambda: SAID in whole.exec(MASTER, "paddock", "agents").stderr, whole.last_words)
        assert SAID in whole.exec(HOST, "systemctl", "status", "agentd").stdout
        standing.launch("waits", HOST, "exit 7")
        assert standing.run("elsewhere", OTHER, "exit 9")["exit_code"] == 9
        # What ends and what is killed now is over at once. That is told when it can be written down, whoever dies meanwhile.
        end_now(whole)
        assert whole.exec(MASTER, "paddock", "kill", standing.id("killed"), "--grace=0").returncode == 0
        until(lambda: whole.exec(HOST, "pgrep", "-f", "sleep 1000").returncode == 1, whole.last_words)
        # The next agent frees a little of what it finds.
        disk.keep_full()
        killed_by_9(whole, HOST, "agentd", disk)
        whole.await_ready()
        until(lambda: SAID in whole.exec(MASTER, "paddock", "agents").stderr, whole.last_words)
        assert not [task for task in ("stays", "ends", "killed", "waits") if standing.is_over(task)], standing.words()
        disk.free()
        ended_once(standing, ends=42, waits=7)
        standing.becomes("killed", "KILLED")
        until(lambda: whole.exec(MASTER, "paddock", "agents").stderr == "", whole.last_words)
        standing.let_go(HOST)
        ended_once(standing, stays=3)
        assert standing.stayed(HOST) == [f"{standing.id('stays')} {what}" for what in ("begin", "end")]


def test_the_masters_disk_is_full_and_nothing_is_lost(whole: Testbed) -> None:
    with SmallDisk(whole, MASTER, "masterd") as disk, Standing(whole, "master-full") as standing:
        started(standing, stays=f"{STAY}3", ends=WAITING)
        disk.fill()
        # Some changes still find their place in what the registry's own files have; the one that finds it out is refused, too.
        write = "n=1; while paddock weights full=$n; do n=$((n + 1)); done"
        refused = whole.exec(MASTER, "sh", "-c", write, timeout_s=300)
        assert SAID in refused.stderr, refused
        assert "what was asked is kept" in refused.stderr, refused
        assert SAID in whole.exec(MASTER, "systemctl", "status", "masterd").stdout
        # What only asks is answered, and agents stay.
        seen = json.loads(whole.exec(MASTER, "paddock", "ps", "-o", "json").stdout)
        assert {each["task"]["name"] for each in seen} == {standing.id("stays"), standing.id("ends")}
        whole.await_ready()
        standing.launch("waits", HOST, "exit 7")
        refused = whole.exec(MASTER, "paddock", "run", "--", "true")
        assert SAID in refused.stderr, refused
        end_now(whole)
        # It cannot even be started again, and says why; systemd tries on.
        killed_by_9(whole, MASTER, "masterd", disk)
        until(lambda: "full" in whole.exec(MASTER, "journalctl", "-u", "masterd", "-n", "30").stdout, whole.last_words)
        assert not [task for task in ("stays", "ends", "waits") if standing.is_over(task)], standing.words()
        disk.free()
        whole.await_ready()
        ended_once(standing, ends=42, waits=7)
        standing.let_go(HOST)
        ended_once(standing, stays=3)
        assert standing.stayed(HOST) == [f"{standing.id('stays')} {what}" for what in ("begin", "end")]
