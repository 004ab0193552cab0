"""`agentd --check-config` and `masterd --check-config` say all that would keep them from starting, and change nothing."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.__main__ import main
from agentd.checkpoint import CheckpointLog


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    (tmp_path / "empty.toml").touch()
    (tmp_path / "state").mkdir()
    return [
        "--check-config",
        f"--config={tmp_path}/empty.toml",
        f"--state-dir={tmp_path}/state",
        f"--work-dir={tmp_path}/work",
    ]


def test_what_is_in_order_says_nothing(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, _ = CheckpointLog.open(str(tmp_path / "state" / "log"))
    log.close()
    before = sorted(tmp_path.rglob("*"))
    assert main(flags) == 0
    assert capsys.readouterr() == ("", "")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_part_of_a_value_is_named_once(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*flags, "--resources=cpus:4;mem:8GB", "--attributes=rack"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("--resources: mem: '8GB' is not accepted: use a number")
    assert second.startswith("--attributes: 'rack' is not accepted: write name:value")


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        ("--master=unix:/run/m.sock,nowhere", "master[1]: 'nowhere' is not accepted: use unix:/path or host:port"),
        (f"--listen=/{'x' * 107}", "listen[0]: '/xxx"),
        (f"--listen=/{'x' * 104}", "http_listen: 'unix:/xxx"),
        ("--http-listen=/run/paddock/agentd.sock", "http_listen: unix:/run/paddock/agentd.sock: gRPC listens there"),
    ],
)
@pytest.mark.parametrize("check", [["--check-config"], []])
def test_an_address_that_cannot_be_used_is_said_before_anything_is_made(
    check: list[str], flag: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.toml").touch()
    own = [f"--config={tmp_path}/empty.toml", f"--state-dir={tmp_path}/state", f"--work-dir={tmp_path}/work"]
    assert main([*check, *own, flag]) == 2
    assert problem in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["empty.toml"]


@pytest.mark.parametrize("program", ["agentd", "masterd"])
def test_a_reader_of_the_words_of_help_may_leave_early(program: str) -> None:
    reader = subprocess.Popen(["/bin/true"], stdin=subprocess.PIPE)
    reader.wait(30)
    assert reader.stdin is not None
    with reader.stdin as nobody_reads:
        told = subprocess.run(
            [sys.executable, "-m", program, "--help"], stdout=nobody_reads, stderr=subprocess.PIPE, check=False
        )
    assert (told.returncode, told.stderr) == (-signal.SIGPIPE, b"")


def test_all_that_is_wrong_is_said_at_once(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state" / "log").write_bytes(b"paddock agent log 7\nnewer")
    (tmp_path / "work").touch()
    secrets = tmp_path / "config.json"
    secrets.write_text('{"auths": {}}')
    secrets.chmod(0o644)
    assert main([*flags, "--isolation=acme/nothing", f"--docker-config={secrets}"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 4
    for words in (
        f"{tmp_path}/state/log at byte 0: the log has format 7, this version reads 1; start the agentd that wrote it",
        f"--work-dir={tmp_path}/work: {tmp_path}/work is no directory",
        "'acme/nothing' is unknown",
        "may read or write these secrets: chmod o= on it",
    ):
        assert any(words in line for line in told), words


def test_a_log_of_entries_that_are_not_known_names_the_version_to_start(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, _ = CheckpointLog.open(str(tmp_path / "state" / "log"))
    log.append(b'{"ContainerLaunchedOnTheMoon": {}}')
    log.close()
    assert main(flags) == 2
    assert "Start the version of agentd that wrote it" in capsys.readouterr().err


@pytest.mark.parametrize("work", ["state", "state/work"])
def test_sandboxes_are_not_put_where_only_root_can_go(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], work: str
) -> None:
    assert main([*flags, f"--work-dir={tmp_path}/{work}"]) == 2
    assert "is in state_dir, which is root's alone" in capsys.readouterr().err


@pytest.mark.parametrize("check", [["--check-config"], []])
def test_a_master_refuses_a_newer_registry(tmp_path: Path, check: list[str]) -> None:
    """Also at a real start: nothing of it is changed."""
    path = tmp_path / "registry.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    (tmp_path / "empty.toml").touch()
    command = [sys.executable, "-m", "masterd", f"--config={tmp_path}/empty.toml", f"--state-dir={tmp_path}"]
    command.append(f"--listen=unix:{tmp_path}/masterd.sock")
    done = subprocess.run([*command, *check], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == (2 if check else 1)
    assert f"{path} at byte 0: the registry has format 99, this version reads 1 to " in done.stderr
    assert "run the masterd that wrote it" in done.stderr
    assert path.read_bytes() == before


def test_a_master_says_where_it_could_never_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "masterd", "--check-config", f"--state-dir={tmp_path}/file/state"]
    done = subprocess.run(
        [*command, f"--record-events={tmp_path}/file/events"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert f"masterd: state_dir: {tmp_path}/file is no directory" in done.stderr
    assert "masterd: record_events: " in done.stderr


def test_each_problem_of_a_master_is_a_line_with_its_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "masterd", "--check-config", f"--state-dir={tmp_path}", "--roles=..", "--nope"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["masterd", "masterd"]
