"""The kernel's log of whom it has killed, read on from where it was read before."""

import errno
import uuid
from collections.abc import Iterator

import pytest

from agentd.docker.oom_log import OomLog
from paddock.kernel import kmsg
from paddock.kernel.errors import KernelError

pytestmark = pytest.mark.no_cgroups


@pytest.fixture
def log() -> Iterator[OomLog]:
    found = OomLog()
    yield found
    found.close()


def told(path: str, pid: int) -> None:
    """As the kernel tells it; whoever is root may write there too. (A line without an end may still be continued.)"""
    line = f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task_memcg={path},task=test,pid={pid},uid=0\n"
    with open("/dev/kmsg", "wb", buffering=0) as file:
        file.write(line.encode())


def test_what_was_there_before_and_what_comes_later_is_found(log: OomLog) -> None:
    path = f"/paddock-test/{uuid.uuid4().hex}"
    told(path, 1)
    assert [kill.pid for kill in log.kills_in(path)] == [1]
    told(f"{path}/below", 2)
    told(f"{path}x", 3)
    assert [kill.pid for kill in log.kills_in(path)] == [1, 2], "what was read once is kept"
    log.close()
    assert [kill.pid for kill in log.kills_in(path)] == [1, 2], "and the log is there again after that"


def test_no_message_is_read_twice(log: OomLog, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    path = f"/paddock-test/{uuid.uuid4().hex}"
    assert log.kills_in(path) == ()
    parse = kmsg.parse_oom_kill

    def noted(message: str) -> kmsg.OomKill | None:
        parsed.append(message)
        return parse(message)

    monkeypatch.setattr(kmsg, "parse_oom_kill", noted)
    told(path, 7)
    assert [kill.pid for kill in log.kills_in(path)] == [7]
    assert [kill.pid for kill in log.kills_in(path)] == [7]
    assert sum(path in message for message in parsed) == 1


def test_a_log_that_may_not_be_read_is_said_each_time(log: OomLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise KernelError("open", "/dev/kmsg", "", errno.EPERM)

    monkeypatch.setattr(kmsg, "open_log", refused)
    for _ in range(2):
        with pytest.raises(KernelError, match="kmsg"):
            log.kills_in("/paddock-test")
