"""What the testbed's verbs cannot do is said at once, with what to do instead; no host is booted for it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from testbed.__main__ import main
from testbed.distribution import REPOSITORY
from testbed.host_cgroups import HostCgroups
from testbed.process_handle import ProcessHandle
from testbed.three_hosts import ADDRESSES, Testbed


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """master and agent1 are up, agent2 is down; the cgroups of agent1 are there."""
    processes = [subprocess.Popen(["sleep", "1000"]) for _ in range(2)]
    mark = secrets.token_hex(4)
    fabric, leader = (asdict(ProcessHandle.of(process.pid)) for process in processes)
    alive = {"nspawn": leader, "leader": leader}
    dead = {"nspawn": None, "leader": None}
    hosts = [
        {"name": name, "address": address, "cgroup_name": f"paddock-{mark}-{name}"}
        | (dead if name == "agent2" else alive)
        for name, address in ADDRESSES.items()
    ]
    (tmp_path / "testbed.json").write_text(json.dumps({"layers": [], "fabric": fabric, "hosts": hosts}))
    cgroups = HostCgroups(f"paddock-{mark}-agent1")
    cgroups.make()
    try:
        yield tmp_path
    finally:
        cgroups.remove()
        for process in processes:
            process.kill()
            process.wait()


def said(directory: Path, words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What the verb says when the testbed is not as it needs it; nothing is changed."""
    before = (directory / "testbed.json").read_text()
    assert main([f"--directory={directory}", *words.split()]) == 1
    assert (directory / "testbed.json").read_text() == before
    out, err = capsys.readouterr()
    assert out == ""
    return err


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("crash agent2", "cannot crash agent2: it is down already; `heal` boots it"),
        ("freeze agent2", "cannot freeze agent2: it is down; `heal` boots it"),
        ("exec agent2 true", "cannot exec on agent2: it is down; `heal` boots it"),
        ("install agent2", "cannot install on agent2: it is down; `heal` boots it"),
        ("slow agent2 100", "cannot slow agent2: it is down; `heal` boots it"),
        ("partition agent2 master", "cannot partition agent2: it is down; `heal` boots it"),
        ("partition master agent2", "cannot partition agent2: it is down; `heal` boots it"),
        ("partition outside agent2", "cannot partition agent2: it is down; `heal` boots it"),
    ],
)
def test_a_host_that_is_down(words: str, wrong: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(directory, words, capsys) == f"testbed: {wrong}\n"


def test_a_host_that_is_frozen(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--directory={directory}", "freeze", "agent1"]) == 0
    assert Testbed.load(directory).hosts["agent1"].is_frozen
    assert "cannot freeze agent1: it is frozen already; `heal` lets it go on" in said(
        directory, "freeze agent1", capsys
    )
    assert "cannot exec on agent1: it is frozen, and nothing would run" in said(directory, "exec agent1 true", capsys)


@pytest.mark.parametrize("verb", ["heal", "crash agent1", "exec agent1 true"])
def test_a_testbed_that_was_ended_from_outside(verb: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = json.loads((directory / "testbed.json").read_text())
    state["fabric"]["started"] += 1
    (directory / "testbed.json").write_text(json.dumps(state))
    assert "`down` removes what is left of it, then `up` makes one" in said(directory, verb, capsys)


@pytest.mark.parametrize("verb", ["down", "heal", "freeze master", "slow master 100"])
def test_no_testbed(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place, remedy in ((tmp_path / "none", "`up` makes one"), (tmp_path, "remove it, then `up`")):
        assert main([f"--directory={place}", *verb.split()]) == 1
        assert f"there is no testbed in {place}: " in (words := capsys.readouterr().err)
        assert remedy in words
    for text in ("{", "{}", "[]", "null", '{"hosts": [{}]}', '{"hosts": [], "layers": [], "fabric": {}}'):
        (tmp_path / "testbed.json").write_text(text)
        assert "is not what `up` wrote" in said(tmp_path, verb, capsys)
    assert list(tmp_path.iterdir()) == [tmp_path / "testbed.json"]


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("crash agent3", "invalid choice: 'agent3' (choose from 'master', 'agent1', 'agent2')"),
        ("slow outside 100", "invalid choice: 'outside' (choose from 'master', 'agent1', 'agent2')"),
        ("partition agent1 agent1", "agent1 cannot be parted from itself: name one of master, agent2, outside"),
        ("slow agent1 -5", "-5 kbit/s cannot be: write a whole number from 8 to 10000000"),
        ("slow agent1 7", "7 kbit/s cannot be"),
        ("slow agent1 10000001", "10000001 kbit/s cannot be"),
        ("slow agent1 fast", "'fast' is no rate in kbit/s: write a whole number from 8 to 10000000"),
        ("--directory=/tmp/a:b heal", "'/tmp/a:b' has a ':'"),
        ("reboot agent1", "invalid choice: 'reboot'"),
    ],
)
def test_words_that_are_wrong(words: str, wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    assert wrong in capsys.readouterr().err


def test_a_second_up_leaves_the_first_alone(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is there already: `down` ends the testbed in it" in said(directory, "up", capsys)


@pytest.mark.parametrize("verb", ["up", "down", "exec master true"])
def test_who_is_not_root(
    verb: str, directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert said(directory, verb, capsys).endswith("and uid 65534 may not: run it as root\n")


def test_an_up_that_comes_to_no_host_leaves_no_directory(tmp_path: Path) -> None:
    """Of another one it would be said that a testbed is there already, which `down` would not find."""
    hosts = tmp_path / "hosts"
    with pytest.raises(FileNotFoundError, match=r"none\.whl"):
        Testbed.up(hosts, wheel=tmp_path / "none.whl")
    assert not hosts.exists()


def test_ctrl_c_while_it_is_made_leaves_no_directory(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    words = [sys.executable, "-m", "testbed", f"--directory={hosts}", "up"]
    with subprocess.Popen(words, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        while not (hosts / "dist").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, "")
    assert not hosts.exists()
