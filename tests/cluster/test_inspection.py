"""A foreign tool, `buf curl`, lists, describes and calls all that both daemons serve, without a proto file of ours."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.one_host import DIRECTORY_PREFIX, OneHost
from tests.cluster.grpcurl import BUF

PAGE = (Path(__file__).parents[2] / "docs/operations/inspection.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
INSTALLED_AGENT = "192.168.56.11:5051"
TOOLS = {
    "grpc.channelz.v1.Channelz",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def tcp() -> dict[str, str]:
    return {"masterd": f"127.0.0.1:{free_port()}", "agentd": f"127.0.0.1:{free_port()}"}


@pytest.fixture(scope="module")
def cluster(tcp: dict[str, str]) -> Iterator[OneHost]:
    """Both daemons serve TCP too, where callers count as root."""
    directory = tempfile.mkdtemp(prefix=DIRECTORY_PREFIX)
    os.chmod(directory, 0o711)
    master, agent = (
        [f"--listen=unix:{directory}/{name}.sock,{tcp[name]}", "--tcp-uid=0"] for name in ("masterd", "agentd")
    )
    host = OneHost(directory, agent_arguments=agent, master_arguments=master)
    try:
        host.start()
        yield host
    finally:
        host.stop()


def buf(*words: str) -> subprocess.CompletedProcess[str]:
    command = [BUF, "curl", "--protocol=grpc", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


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
        timeout=50,
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
    assert [each["type"] for each in said["details"]] == ["google.rpc.ErrorInfo"]
