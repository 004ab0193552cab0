"""What the documents name exists, and nothing in the tree belongs to one machine only."""

import re
import tomllib
from inspect import isfunction
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import pytest

from paddock.scheduler import Event, Scheduler
from tests.architecture.source import ROOT, committed_files, named

DOCUMENTS = [path for path in committed_files() if path.suffix == ".md"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))

# Every address in the tree is one that every reader can reach, or this host.
HOSTS = frozenset(
    {"127.0.0.1", "::1", "localhost", "example.com", "keepachangelog.com", "semver.org", "www.apache.org", "www.w3.org"}
)
HOST_SUFFIXES = (".example", ".test", ".invalid", ".example.com")


def texts() -> dict[Path, str]:
    found = {}
    for path in committed_files():
        try:
            found[path] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # bytes: the still init
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere_and_commands_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not urlsplit(target).scheme:
            assert (path.parent / target).exists(), f"{target} does not exist"
    for target in re.findall(r"`(?:sudo )?make ([a-z-]+)", text):
        assert target in TARGETS, f"`make {target}` is no command"


def test_the_readme_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make run" in text
    assert "make test" in text


def test_the_changelog_has_the_version_of_the_distribution_or_an_unreleased_part() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{version}]" in text or "## [Unreleased]" in text


def test_ci_runs_what_people_run() -> None:
    lines = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert lines == ["#!/usr/bin/env bash", 'exec make -C "$(dirname "$0")/.." test']


def test_no_file_names_a_host_of_one_network() -> None:
    guilty = []
    for path, text in texts().items():
        for address in re.findall(r"https?://[^\s\"'`<>)\\]+", text):
            host = urlsplit(address).hostname or ""
            if not re.search(r"[{$]", host) and host not in HOSTS and not host.endswith(HOST_SUFFIXES):
                guilty.append(f"{path.relative_to(ROOT)}: {address}")
    assert guilty == []


def test_no_file_names_a_directory_of_this_machine() -> None:
    places = [str(place) for place in (ROOT, Path.home()) if len(place.parts) > 2]
    assert named([path for path, text in texts().items() if any(place in text for place in places)]) == []


def test_the_lock_names_versions_and_hashes_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    blocks = [block for block in re.split(r"\n(?=\S)", text) if not block.startswith("#")]
    assert blocks
    for block in blocks:
        assert re.match(r"[a-z0-9-]+==[\w.]+ (; [^\\]+)?\\\n", block), block.splitlines()[0]
        assert "--hash=sha256:" in block


def test_every_event_and_call_of_a_framework_is_told() -> None:
    text = (ROOT / "docs/frameworks.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)) == {each.__name__ for each in get_args(Event)}
    calls = [name for name, each in vars(Scheduler).items() if isfunction(each) and not name.startswith("_")]
    assert [name for name in calls if f"`{name}" not in text] == []


def test_the_lock_satisfies_the_floors() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([a-z0-9-]+)==([\w.]+)", text, flags=re.MULTILINE))
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [
        *settings["project"]["dependencies"],
        *settings["dependency-groups"]["dev"],
        *settings["build-system"]["requires"],
    ]
    for requirement in asked:
        name, floor = re.match(r"([a-z0-9-]+)(?:>=([\w.]+))?", requirement).groups()  # type: ignore[union-attr]
        assert name in locked, f"{name} is not in requirements.lock: run setup/lock"
        if floor:
            assert numbers(locked[name]) >= numbers(floor), (
                f"{name} {locked[name]} is older than {floor}: run setup/lock"
            )


def numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
