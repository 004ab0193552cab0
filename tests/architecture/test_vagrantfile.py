"""The Vagrantfile is one: three hosts, by a provider that can be had everywhere."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Vagrantfile").read_text(encoding="utf-8")


PROVIDERS = ("libvirt", "virtualbox")


@pytest.fixture
def validate(tmp_path: Path) -> Callable[[str, str], subprocess.CompletedProcess[str]]:
    """Has Vagrant judge a text of that file for a provider. In a copy: it writes beside its file and into its home."""
    # Debian has no VirtualBox. Vagrant asks it for its version, and judges the settings itself.
    there = tmp_path / "VBoxManage"
    there.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 7.0.20r163906\n', encoding="utf-8")
    there.chmod(0o755)

    def run(text: str, provider: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "Vagrantfile").write_text(text, encoding="utf-8")
        environment = {
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "VAGRANT_HOME": str(tmp_path / "home"),
            "VAGRANT_DEFAULT_PROVIDER": provider,
            "VAGRANT_CHECKPOINT_DISABLE": "1",
        }
        return subprocess.run(
            ["vagrant", "validate"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.parametrize("provider", PROVIDERS)
def test_vagrant_validates_it(provider: str, validate: Callable[[str, str], subprocess.CompletedProcess[str]]) -> None:
    done = validate(TEXT, provider)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("provider", PROVIDERS)
def test_vagrant_refuses_an_unknown_setting(
    provider: str, validate: Callable[[str, str], subprocess.CompletedProcess[str]]
) -> None:
    begin, settings = TEXT.split(f'provider "{provider}"')
    done = validate(f'{begin}provider "{provider}"{settings.replace("memory", "memmory", 1)}', provider)
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
