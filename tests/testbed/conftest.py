"""The distribution is built once for all that install it, and one testbed serves all that look at one."""

from __future__ import annotations

import base64
import hashlib
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.distribution import build_wheel
from testbed.three_hosts import MASTER, Testbed

PREVIOUS_VERSION = "0.0.1"
_MASTER_SETTINGS = 'agent_ping_timeout = "1s"\nmax_agent_ping_timeouts = 4\n'


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def previous_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the same tree, with another version: to pip, to systemd and to `--version` another build."""
    name, version, rest = wheel.name.split("-", 2)
    made = tmp_path_factory.mktemp("previous") / f"{name}-{PREVIOUS_VERSION}-{rest}"
    ours, theirs = f"{name}-{version}.", f"{name}-{PREVIOUS_VERSION}."
    record: list[str] = []
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            path = entry.filename.replace(ours, theirs, 1)
            content = source.read(entry)
            if path.endswith(".py"):
                content = content.replace(f'"{version}"'.encode(), f'"{PREVIOUS_VERSION}"'.encode())
            if path.endswith("/METADATA"):
                content = content.replace(
                    f"Version: {version}\n".encode(), f"Version: {PREVIOUS_VERSION}\n".encode(), 1
                )
            if path.endswith("/RECORD"):
                content = "".join([*record, f"{path},,\n"]).encode()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(content)}\n")
            target.writestr(path, content)
    return made


@pytest.fixture(scope="session")
def testbed(previous_wheel: Path) -> Iterator[Testbed]:
    """Of the previous build, until the test that upgrades it."""
    home = Path(tempfile.mkdtemp(prefix="paddock-testbed-"))
    home.chmod(0o755)
    running = Testbed.up(home / "hosts", wheel=previous_wheel, settings={MASTER: _MASTER_SETTINGS})
    fabric, hosts = running._fabric, [host.nspawn for host in running.hosts.values()]
    directories = [host.cgroup_name for host in running.hosts.values()]
    try:
        running.await_ready()
        yield running
    finally:
        running.down()
        home.rmdir()
    assert not fabric.is_alive
    assert not [process for process in hosts if process is not None and process.is_alive]
    assert not [path for name in directories for path in Path("/sys/fs/cgroup").glob(f"*/{name}")]
    assert str(home) not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")


@pytest.fixture
def whole(testbed: Testbed) -> Iterator[Testbed]:
    """Before and after each test all three are there and speak with each other."""
    testbed.heal()
    testbed.await_ready()
    yield testbed
    testbed.heal()
