"""The launcher's command line."""

import pytest

from paddock.launch import launcher_start


def test_arguments() -> None:
    words = ["--socket", "/run/paddock/l.sock", "--agent-id=a1", "--cgroup-root", "/c/cpu/paddock-a1", "--pool-size=3"]
    arguments = launcher_start.parse_arguments(words)
    assert arguments.socket == "/run/paddock/l.sock"
    assert arguments.agent_id == "a1"
    assert arguments.cgroup_roots == ["/c/cpu/paddock-a1"]
    assert arguments.pool_size == 3


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--socket", "/s"],
        ["--socket", "relative", "--agent-id", "a"],
        ["--socket", "/s", "--agent-id", "a/b"],
        ["--socket", "/s", "--agent-id", "a", "--cgroup-root", "/c/cpu"],
        ["--socket", "/s", "--agent-id", "a", "--cgroup-root", "/c/cpu/paddock-b"],
        ["--socket", "/s", "--agent-id", "a", "--pool-size", "-1"],
        ["--socket", "/s", "--agent-id", "a", "--pool-size", "x"],
        ["--socket", "/s", "--agent-id", "a", "--unknown"],
    ],
)
def test_wrong_arguments(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        launcher_start.parse_arguments(words)
