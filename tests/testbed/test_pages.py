"""The operators' pages whose commands need a host of their own, run as they stand on a bare Debian with systemd: from the
installation of the package to an upgrade of it, one after the other on the same host.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.debian import root_tree
from testbed.distribution import HOST_FILES, HOST_LINKS, PREFIX, wheelhouse
from testbed.host import Host
from testbed.three_hosts import Testbed
from tests.cluster.pages import DOCS, blocks_of, missing, run_shell, script_of

pytestmark = pytest.mark.timeout(1800)  # where nothing is in the cache yet

PAGES = ("install", "systemd", "crash", "disk-full", "reboot", "upgrade")
_WHEELS = "/var/wheels"
_VENV = ("python3.11-venv", "python3-pip-whl", "python3-setuptools-whl", "python3-distutils", "python3-lib2to3")
"""What python3-venv brings to a Debian that has python3 alone."""


@pytest.fixture(scope="module")
def bare(testbed: Testbed, wheel: Path) -> Iterator[Host]:
    """Without Paddock, on the testbed's network but none of its three. It has the wheels in place of a package index, and
    what `apt-get install python3-venv` would have brought.
    """
    name = f"bare-{secrets.token_hex(3)}"
    host = Host(name=name, address="10.77.0.40", directory=testbed.directory / name, cgroup_name=f"paddock-{name}")
    links = {path: target for path, target in HOST_LINKS.items() if not target.startswith(PREFIX)}
    host.make_disk({**HOST_FILES, "etc/hosts": f"127.0.0.1 localhost\n10.77.0.40 {name}\n"}, links)
    shutil.copytree(wheelhouse(), f"{host.upper}{_WHEELS}")
    (host.upper / "root").mkdir(mode=0o700, exist_ok=True)
    shutil.copy(wheel, host.upper / "root")
    for path in _files_of(*_VENV):
        target = host.upper / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    host.boot([root_tree()], testbed.fabric_pid)
    try:
        # "degraded" is one with a failed unit of its own: this Debian is minimal.
        run(host, "until systemctl is-system-running | grep -qE 'running|degraded'; do sleep 0.1; done")
        yield host
    finally:
        host.crash()


def _files_of(*packages: str) -> list[Path]:
    """Of this machine's own, which made its .venv with them."""
    listed = subprocess.run(["dpkg", "-L", *packages], capture_output=True, text=True, check=True).stdout
    return [path for path in map(Path, listed.split("\n")) if path.is_file() and "python" in path.parts[3]]


def run(host: Host, script: str) -> tuple[int, str]:
    environment = ["env", "-C", "/root", "PIP_NO_INDEX=1", f"PIP_FIND_LINKS={_WHEELS}", "PIP_ROOT_USER_ACTION=ignore"]
    return run_shell(host.command([*environment, "bash", "-c", script]), timeout_s=600)


def play(host: Host, page: str) -> None:
    blocks = [block for block in blocks_of(DOCS / f"operations/{page}.md") if block.place == "host"]
    assert blocks, f"{page} has no commands for a host"
    code, output = run(host, script_of(blocks))
    assert (code, missing(blocks, output)) == (0, []), f"{page}: {code}\n{output}"


def test_every_operators_page_does_what_it_says(bare: Host, previous_wheel: Path) -> None:
    """In this order; before the last one the host is given the previous build, so that there is something to upgrade."""
    for page in PAGES[:-1]:
        play(bare, page)
    leader = bare.leader
    assert leader is not None
    shutil.copy(previous_wheel, f"/proc/{leader.pid}/root/root")
    _, older = run(
        bare,
        f"set -e; {PREFIX}/bin/pip install {previous_wheel.name}; systemctl restart agentd masterd; paddock --version",
    )
    assert older.endswith("paddock 0.0.1\n"), older
    play(bare, PAGES[-1])
    assert run(bare, "paddock --version; systemctl --failed --no-legend") == (0, "paddock 0.1.0\n")


def test_no_page_has_commands_for_a_host_that_is_not_played() -> None:
    pages = {path.stem for path in DOCS.rglob("*.md") if any(block.place == "host" for block in blocks_of(path))}
    assert pages == set(PAGES)
