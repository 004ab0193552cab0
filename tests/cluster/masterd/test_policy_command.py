"""`paddock roles|quota|weights` against a real master, which is killed in between."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.cluster.masterd.stage import stage
from tests.masterd_process import ROOT, MasterdProcess


def paddock(masterd: MasterdProcess, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "paddock.cli", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PADDOCK_MASTER": masterd.address},
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


async def test_quotas_and_weights_are_set_planned_and_outlive_a_crash(masterd: MasterdProcess) -> None:
    async with stage(masterd) as on:
        agent, framework = await on.agent("a1"), await on.framework("r")
        await agent.register()
        await framework.subscribe()
        planned = paddock(masterd, "quota", "plan", "s", "--guarantee", "cpus:3")
        assert ["r", "cpus", "4", "1", "-3", "0", "0"] in lines(planned)
        impossible = paddock(masterd, "quota", "plan", "s", "--guarantee", "cpus:5")
        assert (impossible.returncode, "the cluster has 4" in impossible.stderr) == (4, True)
        assert paddock(masterd, "quota", "set", "s", "--guarantee", "cpus:5").returncode == 2
        assert paddock(masterd, "quota", "set", "*", "--limit", "cpus:5").returncode == 2
        assert lines(paddock(masterd, "quota", "set", "s", "--guarantee", "cpus:3;mem:0.5GiB")) == []
        assert lines(paddock(masterd, "quota", "set", "s/t", "--limit", "cpus:0")) == []
        assert lines(paddock(masterd, "weights", "r=2.5", "s=0.5")) == []
    masterd.kill()
    masterd.start()
    table = lines(paddock(masterd, "quota", "list", "--no-headers"))
    assert table == [["s", "cpus:3;mem:512", "-", "-"], ["s/t", "-", "cpus:0", "-"]]
    assert lines(paddock(masterd, "weights", "--no-headers")) == [["r", "2.5"], ["s", "0.5"], ["s/t", "1"]]
    roles = json.loads(paddock(masterd, "roles", "-o", "json").stdout)
    assert [role["role"] for role in roles] == ["r", "s", "s/t"]
    assert roles[1]["guarantees"] == {"milli": {"cpus": "3000", "mem": "512000"}}
    assert lines(paddock(masterd, "quota", "remove", "s")) == []
    assert [row[0] for row in lines(paddock(masterd, "quota", "list", "--no-headers"))] == ["s/t"]
