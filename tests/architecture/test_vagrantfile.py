"""The Vagrantfile is one: three hosts, by a provider that can be had everywhere."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Vagrantfile").read_text(encoding="utf-8")


def vagrant(directory: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run vagrant on a copy: it writes beside its file and into its home."""
    (directory / "Vagrantfile").write_text(text, encoding="utf-8")
    environment = {**os.environ, "VAGRANT_HOME": str(directory / "home"), "VAGRANT_DEFAULT_PROVIDER": "libvirt"}
    environment["VAGRANT_CHECKPOINT_DISABLE"] = "1"
    return subprocess.run(
        ["vagrant", *arguments], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


def test_vagrant_validates_it(tmp_path: Path) -> None:
    done = vagrant(tmp_path, TEXT, "validate")
    assert done.returncode == 0, done.stdout + done.stderr


def test_vagrant_refuses_an_unknown_setting(tmp_path: Path) -> None:
    done = vagrant(tmp_path, TEXT.replace("machine.memory", "machine.memmory"), "validate")
    assert done.returncode != 0
    assert "memmory" in done.stderr


def test_the_tests_run_on_demand_only() -> None:
    assert 'provision "test", type: "shell", run: "never"' in TEXT


def test_there_are_one_master_and_two_agents() -> None:
    assert 'define "master"' in TEXT
    assert '"agent1" =>' in TEXT
    assert '"agent2" =>' in TEXT


def test_provisioners_have_names_and_both_providers_their_settings() -> None:
    assert TEXT.count('vm.provision "') == TEXT.count("vm.provision")
    assert 'provider "virtualbox"' in TEXT
    assert 'provider "libvirt"' in TEXT
