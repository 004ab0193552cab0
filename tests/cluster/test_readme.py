"""The README is true: its files are there, its make targets too, and every other command in it works against a real cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.one_host import OneHost
from tests.cluster.conftest import PADDOCK

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
LAUNCH = README.partition("## One launch, file by file")[2].partition("\n## ")[0]


def test_every_file_and_page_it_names_is_there() -> None:
    named = set(re.findall(r"`([a-z_]+/[\w/.]+\.(?:py|md))`", README)) | set(re.findall(r"\]\(([^)]+)\)", README))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_launch_is_followed_in_ten_lines() -> None:
    assert [int(number) for number in re.findall(r"^(\d+)\. ", LAUNCH, re.MULTILINE)] == list(range(1, 11))


def test_every_directory_of_the_tree_is_there() -> None:
    tree = README.partition("## The tree\n\n```\n")[2].partition("```")[0]
    directories = re.findall(r"\b([a-z]+)/", tree)
    assert len(directories) == 13
    assert [name for name in directories if not (ROOT / name).is_dir()] == []


def test_make_knows_its_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE)):
        assert f"\n{target}:" in makefile, target


@pytest.mark.parametrize("block", BLOCKS[1:], ids=["paddock", "master", "agent"])
def test_its_commands_work(block: str, cluster: OneHost, tmp_path: Path) -> None:
    """With this cluster's sockets for the installed ones, and buf for grpcurl (tests/cluster/grpcurl.py)."""
    script = block.replace("/run/paddock/", f"{cluster.directory}/")
    stand_in = tmp_path / "grpcurl"
    stand_in.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{Path(__file__).parent / 'grpcurl.py'}' \"$@\"\n")
    stand_in.chmod(0o755)
    path = f"{tmp_path}:{os.path.dirname(PADDOCK)}:{os.environ['PATH']}"
    for line in script.splitlines():
        assert line.split("=")[0].split()[0] in {"paddock", "grpcurl", "SOCKET", "TOKEN"}, line
    done = subprocess.run(
        ["/bin/bash", "-c", script.replace("exit 3'", "exit 3' || test $? = 3").join(("set -e\n", ""))],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PATH": path, "PADDOCK_MASTER": cluster.master_address},
    )
    assert done.returncode == 0, done.stderr
    for word in said_by(block):
        assert word in done.stdout, done.stdout


def said_by(block: str) -> tuple[str, ...]:
    if "masterd.sock" in block:
        return ("paddock.wire.v1.OperatorService", "rpc ListAgents", '"SERVING"', '"AGENT_ACTIVE"')
    if "agentd.sock" in block:
        return ('"TASK_FINISHED"', '"CONTAINER_TERMINATED"')
    return ("hello\n", "TASK", "AGENT")


def test_the_stand_in_needs_a_token_as_grpcurl_would(cluster: OneHost) -> None:
    command = [sys.executable, str(Path(__file__).parent / "grpcurl.py"), "-plaintext", "-unix"]
    socket = cluster.master_address.removeprefix("unix:")
    done = subprocess.run(
        [*command, socket, "paddock.wire.v1.OperatorService/ListAgents"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert '"unauthenticated"' in done.stderr
    services = subprocess.run([*command, socket, "list"], capture_output=True, text=True, check=True).stdout.split()
    assert {"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "paddock.wire.v1.OperatorService"} <= set(
        services
    )
