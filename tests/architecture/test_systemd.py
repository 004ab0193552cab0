"""The units are what systemd understands, and say what the design asks of them."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "systemd").glob("*.service"))


def staged(directory: Path, unit: Path, text: str) -> Path:
    """A root file system with the unit, what it starts, and the system's own units around it."""
    system = directory / "etc/systemd/system"
    system.mkdir(parents=True)
    (system / unit.name).write_text(text, encoding="utf-8")
    binaries = directory / "opt/paddock/bin"
    binaries.mkdir(parents=True)
    (directory / "bin").mkdir()
    for program in (binaries / "agentd", binaries / "masterd", directory / "bin/kill"):
        program.write_text("#!/bin/sh\n", encoding="utf-8")
        program.chmod(0o755)
    shutil.copytree("/usr/lib/systemd/system", directory / "usr/lib/systemd/system", symlinks=True)
    return directory


def verify(root: Path, unit: str) -> subprocess.CompletedProcess[str]:
    # Without --recursive-errors an unknown key is a warning and the exit code 0.
    command = ["systemd-analyze", "--recursive-errors=yes", "--man=no", f"--root={root}", "verify", unit]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(tmp_path: Path, unit: Path) -> None:
    done = verify(staged(tmp_path, unit, unit.read_text(encoding="utf-8")), unit.name)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_refuses_an_unknown_key_in_it(tmp_path: Path, unit: Path) -> None:
    text = unit.read_text(encoding="utf-8").replace("[Service]", "[Service]\nRestartWhenever=yes")
    done = verify(staged(tmp_path, unit, text), unit.name)
    assert done.returncode != 0


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_each_daemon_tells_that_it_is_ready_and_alive_and_comes_back(unit: Path) -> None:
    settings = configparser.RawConfigParser(strict=False)
    settings.read(unit, encoding="utf-8")
    service = settings["Service"]
    assert service["Type"] == "notify"
    assert service["Restart"] == "always"
    assert int(service["WatchdogSec"]) > 0
    assert service["ExecStart"].startswith(f"/opt/paddock/bin/{unit.stem}")
    assert service["ExecStartPre"].endswith("--check-config")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_each_daemon_reads_its_configuration_again(unit: Path) -> None:
    assert "ExecReload=/bin/kill -HUP $MAINPID" in unit.read_text(encoding="utf-8").splitlines()


def exposure(unit: Path, threshold: int) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={threshold}", "--no-pager", str(unit)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_master_is_exposed_no_more_than_it_must_be() -> None:
    """systemd's own judgement, in tenths: 2.0 of 10."""
    done = exposure(ROOT / "systemd/masterd.service", 20)
    assert done.returncode == 0, done.stdout
    assert exposure(ROOT / "systemd/agentd.service", 20).returncode != 0, "this can fail"


def test_there_are_units_for_both_daemons() -> None:
    assert [unit.name for unit in UNITS] == ["agentd.service", "masterd.service"]


def test_the_agent_has_the_mount_namespace_of_the_host() -> None:
    text = (ROOT / "systemd/agentd.service").read_text(encoding="utf-8")
    keys = {line.split("=")[0] for line in text.splitlines() if "=" in line and not line.startswith("#")}
    assert not {key for key in keys if key.startswith(("Protect", "Private", "ReadWrite", "ReadOnly", "Inaccessible"))}


def test_sysusers_makes_the_masters_user(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    configuration = ROOT / "systemd/sysusers.d/paddock.conf"
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", str(configuration)], check=True, capture_output=True)
    assert any(line.startswith("paddock:") for line in (tmp_path / "etc/passwd").read_text().splitlines())
    assert any(line.startswith("paddock:") for line in (tmp_path / "etc/group").read_text().splitlines())


def test_tmpfiles_makes_the_directory_of_the_sockets(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\npaddock:x:990:990::/:/bin/sh\n", encoding="utf-8")
    (tmp_path / "etc/group").write_text("root:x:0:\npaddock:x:990:\n", encoding="utf-8")
    configuration = tmp_path / "paddock.conf"
    shutil.copy(ROOT / "systemd/tmpfiles.d/paddock.conf", configuration)
    subprocess.run(
        ["systemd-tmpfiles", f"--root={tmp_path}", "--create", str(configuration)], check=True, capture_output=True
    )
    mode = (tmp_path / "run/paddock").stat()
    assert mode.st_mode & 0o1707 == 0o1705
    assert mode.st_uid == 0
