"""A foreign tool, `buf curl`, lists, describes and calls all that both daemons serve, without a proto file of ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.one_host import OneHost
from tests.cluster.grpcurl import BUF
from tests.cluster.tcp_host import one_host_over_tcp

PAGE = (Path(__file__).parents[2] / "docs/operations/inspection.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
INSTALLED_AGENT = "192.168.56.11:5051"
TOOLS = {
    "grpc.channelz.v1.Channelz",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[OneHost, dict[str, str]]]:
    with one_host_over_tcp() as found:
        yield found


@pytest.fixture(scope="module")
def cluster(both: tuple[OneHost, dict[str, str]]) -> OneHost:
    return both[0]


@pytest.fixture(scope="module")
def tcp(both: tuple[OneHost, dict[str, str]]) -> dict[str, str]:
    return both[1]


def buf(*words: str) -> subprocess.CompletedProcess[str]:
    command = [BUF, "curl", "--protocol=grpc", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def told(*words: str) -> str:
    done = buf(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (0, ["paddock.wire.v1.SchedulerService\n", "OperatorService/ListAgents\n", '"SERVING"']),
        (1, ['"AGENT_ACTIVE"', "}\n{}\n"]),
        (2, ['"resourceVersion"', "{}\n"]),
        (3, ['"callsSucceeded"', '"READY"', '"socketRef"']),
    ],
    ids=["what-is-there", "calls", "tcp", "connections"],
)
def test_the_commands_of_the_page_work(block: int, words: list[str], cluster: OneHost, tcp: dict[str, str]) -> None:
    assert len(BLOCKS) == 4
    script = BLOCKS[block].replace("/run/paddock/", f"{cluster.directory}/").replace(INSTALLED_AGENT, tcp["agentd"])
    done = subprocess.run(
        ["/bin/bash", "-c", f"set -e\n{script}"],
        env={**os.environ, "PATH": f"{os.path.dirname(BUF)}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout, done.stdout


@pytest.mark.parametrize("daemon", ["masterd", "agentd"])
def test_every_service_is_described_in_both_versions_and_has_a_health(
    daemon: str, cluster: OneHost, tcp: dict[str, str]
) -> None:
    address = tcp[daemon]
    url, unix = f"http://{address}", (f"--unix-socket={cluster.directory}/{daemon}.sock", "http://localhost")
    services = told(*unix, "--list-services").split()
    assert set(services) > TOOLS
    methods = told(*unix, "--list-methods").split()
    assert methods == told(url, "--list-methods", "--reflect-protocol=grpc-v1alpha").split()
    # A service without a description would be missing here.
    assert sorted({method.partition("/")[0] for method in methods}) == sorted(services)
    health = json.loads(told(f"{url}/grpc.health.v1.Health/List"))["statuses"]
    assert health == {name: {"status": "SERVING"} for name in ["", *services]}


def test_what_is_refused_says_why_with_details(cluster: OneHost, tcp: dict[str, str]) -> None:
    address = tcp["masterd"]
    done = buf('--data={"task_id": "nobody"}', f"http://{address}/paddock.wire.v1.OperatorService/GetTask")
    assert done.returncode == 5 * 8, "NOT_FOUND"
    said = json.loads(done.stderr)
    assert said["message"] == "task 'nobody' does not exist"
    assert [each["type"] for each in said["details"]] == ["google.rpc.ErrorInfo", "google.rpc.ResourceInfo"]
