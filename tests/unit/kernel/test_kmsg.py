"""Who was killed for memory, from the kernel's own words."""

from hypothesis import given
from hypothesis import strategies as st

from paddock.kernel.kmsg import oom_kills_in, parse_oom_kill

LINE = (
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={path},"
    "task_memcg={path},task={comm},pid={pid},uid=0"
)


def line(path: str = "/paddock-a/c", comm: str = "python3", pid: int = 42) -> str:
    return LINE.format(path=path, comm=comm, pid=pid)


def test_a_kill() -> None:
    found = parse_oom_kill(line())
    assert found is not None
    assert (found.task_memcg, found.comm, found.pid) == ("/paddock-a/c", "python3", 42)


def test_a_name_that_lies() -> None:
    found = parse_oom_kill(line(comm="x,pid=1,uid=0"))
    assert found is not None
    assert (found.comm, found.pid) == ("x,pid=1,uid=0", 42)


def test_an_escaped_name() -> None:
    found = parse_oom_kill(line(comm=r"a\x0ab"))
    assert found is not None
    assert found.comm == "a\nb"


def test_only_ours_and_below() -> None:
    lines = [
        line(pid=1),
        line("/paddock-a/c2", pid=2),
        line("/paddock-a/c/inner", pid=3),
        line("/x/paddock-a/c", pid=4),
    ]
    assert [kill.pid for kill in oom_kills_in(["noise", *lines], "/paddock-a/c")] == [1, 3]


@given(st.text())
def test_any_text_is_a_kill_or_none(text: str) -> None:
    found = parse_oom_kill(text)
    assert found is None or found.pid >= 0
