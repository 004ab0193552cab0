"""disk/du on real trees with real du: exact amounts, hostile names, many at once, one that hangs; nothing stays."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from isolators.contract import Interval, IsolatorSettings, LiveContainer
from isolators.disk.du import POLL_MS, DiskUsageIsolator
from isolators.testing import sample_container, sample_host
from paddock.model.container import ContainerConfig
from paddock.model.errors import ContainerizerError
from paddock.model.ids import ContainerId
from paddock.model.resources import DiskVolume, Reservation, Resource, Resources, Scalar
from paddock.model.statistics import Limitation
from paddock.model.task import Evidence, Reason, ResourceLimits
from tests.children import children_of
from tests.kernel.isolators.live_cgroup import wait_until

# The same code on both versions of cgroups.
pytestmark = pytest.mark.no_cgroups

MIB = 1_048_576
Make = Callable[..., DiskUsageIsolator]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Isolators with a short interval; afterwards each has let go of every du."""
    made: list[DiskUsageIsolator] = []
    before = children_of(os.getpid())

    def new(**changes: int | bool | str) -> DiskUsageIsolator:
        settings = replace(IsolatorSettings(container_disk_watch_interval_ms=20), **changes)  # type: ignore[arg-type]
        made.append(DiskUsageIsolator(sample_host(tmp_path, "v1"), settings))
        return made[-1]

    yield new
    for isolator in made:
        for key in tuple(isolator._tracked):
            isolator.cleanup(ContainerId(key))

    def reaped() -> Iterator[bool]:
        while True:
            for isolator in made:
                isolator.cleanup(ContainerId("x"))  # any call moves on what is ending
            yield not any(isolator._ending for isolator in made)

    wait_until(reaped(), "every du is reaped")
    assert children_of(os.getpid()) <= before


def write(path: Path, size_bytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size_bytes)


def counted(isolator: DiskUsageIsolator, container: ContainerConfig) -> int:
    """Ask as the agent asks, until there is a new figure."""
    tracked = isolator._tracked[container.container_id]
    before = tracked.measured_ns

    def ask() -> Iterator[bool]:
        while True:
            isolator.limitation(container.container_id)
            yield tracked.measured_ns > before

    wait_until(ask(), "du's figure")
    used = isolator.usage(container.container_id)
    assert used.missing == ()
    assert used.disk_used_bytes is not None
    assert used.timestamp_ns == tracked.measured_ns
    return used.disk_used_bytes


def met(isolator: DiskUsageIsolator, container: ContainerConfig) -> Limitation:
    counted(isolator, container)
    found = isolator.limitation(container.container_id)
    assert found is not None
    return found


def allocated(root: Path) -> int:
    """Blocks by lstat, hard links once: another's count of the same."""
    paths = [root, *root.rglob("*")]
    blocks = {(status.st_dev, status.st_ino): status.st_blocks for status in map(os.lstat, paths)}
    return 512 * sum(blocks.values())


def test_within_the_limit_nothing_happens(make: Make, container: ContainerConfig) -> None:
    isolator = make()
    isolator.prepare(container)
    assert isolator.usage(container.container_id).missing == (("disk/du", "not yet counted"),)
    write(Path(container.sandbox, "file"), 3 * MIB)
    assert counted(isolator, container) == allocated(Path(container.sandbox))
    assert isolator.limitation(container.container_id) is None
    assert isolator.usage(container.container_id).disk_limit_bytes == 16 * MIB
    assert isolator.evidence(container.container_id, {}) == Evidence()


def test_more_than_the_limit_ends_the_container_and_says_where(make: Make, container: ContainerConfig) -> None:
    isolator = make()
    isolator.prepare(container)
    sandbox = Path(container.sandbox)
    for number in range(6):
        write(sandbox / f"directory{number}/deep/er/file", (number + 1) * MIB)
    write(sandbox / "own", 2 * MIB)
    found = met(isolator, container)
    assert (found.fatal, found.reason, found.isolator) == (True, Reason.CONTAINER_LIMITATION_DISK, "disk/du")
    assert found.disk is not None
    assert found.disk.used_bytes == allocated(sandbox)
    assert found.disk.limit_bytes == 16 * MIB
    assert [directory.path for directory in found.disk.largest] == [f"directory{number}" for number in (5, 4, 3, 2, 1)]
    assert found.disk.largest[0].used_bytes == allocated(sandbox / "directory5")
    assert found.disk.interval_ms == 20
    assert "directory5" in found.message
    again = isolator.limitation(container.container_id)
    assert again is not None
    assert again.fatal
    assert isolator.evidence(container.container_id, {}).disk is not None


def test_exactly_the_limit_is_not_more(make: Make, container: ContainerConfig) -> None:
    isolator = make()
    sandbox = Path(container.sandbox)
    write(sandbox / "file", MIB - allocated(sandbox))
    assert allocated(sandbox) == MIB
    isolator.prepare(replace(container, resources=Resources.scalars({"disk": 1000})))
    counted(isolator, container)
    assert isolator.limitation(container.container_id) is None
    with pytest.raises(ContainerizerError, match=f"not lowered to {999 * MIB // 1000}: it holds {MIB} bytes"):
        isolator.update(container.container_id, Resources.scalars({"disk": 999}), ResourceLimits())
    (limit,) = isolator.limits(container.container_id)
    assert limit.in_force == str(MIB)
    assert isolator.limitation(container.container_id) is None


def test_a_limit_that_was_met_is_raised_and_no_longer_met(make: Make, container: ContainerConfig) -> None:
    isolator = make()
    write(Path(container.sandbox, "file"), 2 * MIB)
    isolator.prepare(replace(container, resources=Resources.scalars({"disk": 1000})))
    counted(isolator, container)
    assert isolator.limitation(container.container_id) is not None
    isolator.update(container.container_id, Resources.scalars({"disk": 9000}), ResourceLimits())
    assert isolator.limitation(container.container_id) is None


def test_one_that_runs_is_planned_again_and_what_is_known_of_it_stays(
    make: Make, container: ContainerConfig, tmp_path: Path
) -> None:
    """After a resize, and for an exec after that."""
    isolator = make()
    isolator.prepare(container)
    write(tmp_path / "beside/file", 8 * MIB)
    isolator.count_also(container.container_id, {str(tmp_path / "beside"): "/"})
    before = counted(isolator, container)
    assert before > 8 * MIB
    smaller = replace(container, resources=Resources.scalars({"disk": 9000}))
    isolator.update(container.container_id, smaller.resources, ResourceLimits())
    for planned in (smaller, container):
        isolator.prepare(planned)
        used = isolator.usage(container.container_id)
        assert (used.disk_used_bytes, used.disk_limit_bytes, used.missing) == (before, 9 * MIB, ())
    write(tmp_path / "beside/more", 2 * MIB)
    assert met(isolator, container).fatal


def test_what_counts_besides_is_named_as_the_container_sees_it(
    make: Make, container: ContainerConfig, tmp_path: Path
) -> None:
    """The layer above an image, and a volume of the engine's: what lies directly in them, too."""
    isolator = make()
    isolator.prepare(container)
    for place, size in (("layer/own", 5), ("layer/opt/deep/file", 4), ("volume/own", 7), ("volume/opt/file", 6)):
        write(tmp_path / place, size * MIB)
    write(Path(container.sandbox, "own"), 3 * MIB)
    isolator.count_also(container.container_id, {str(tmp_path / "layer"): "/", str(tmp_path / "volume"): "/data"})
    found = met(isolator, container)
    assert found.disk is not None
    assert [each.path for each in found.disk.largest] == ["/data", "/data/opt", "/", "/opt", "."]
    assert found.disk.largest[0].used_bytes == allocated(tmp_path / "volume") - allocated(tmp_path / "volume/opt")
    roots = (Path(container.sandbox), tmp_path / "layer", tmp_path / "volume")
    assert found.disk.used_bytes == sum(map(allocated, roots))
    assert found.message.startswith("the container holds ")


def test_hostile_trees_hurt_nobody(make: Make, container: ContainerConfig, tmp_path: Path) -> None:
    sandbox = Path(container.sandbox)
    write(tmp_path / "outside/big", 20 * MIB)
    (sandbox / "link").symlink_to(tmp_path / "outside")
    (sandbox / "loop").symlink_to(sandbox)
    os.mkfifo(sandbox / "fifo")
    evil = os.path.join(os.fsencode(sandbox), b"line\nfeed\t\x1b[31m\xff 9999999999\t" + b"n" * 180)
    os.mkdir(evil)
    Path(os.fsdecode(evil), "file").write_bytes(b"x" * MIB)
    os.link(os.path.join(evil, b"file"), sandbox / "second-name")
    locked = sandbox / "locked"
    write(locked / "file", MIB)
    locked.chmod(0)
    deep = os.open(sandbox, os.O_RDONLY)
    for _ in range(1500):  # far beyond PATH_MAX
        os.mkdir("directory", dir_fd=deep)
        below = os.open("directory", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    isolator = make()
    isolator.prepare(replace(container, resources=Resources.scalars({"disk": 1000})))
    try:
        found = met(isolator, container)
    finally:  # deeper than Python's own removal goes
        subprocess.run(["rm", "-rf", str(sandbox / "directory")], check=True)
    assert found.disk is not None
    assert 2 * MIB <= found.disk.used_bytes < 12 * MIB
    shown = [directory.path for directory in found.disk.largest]
    assert any(path.startswith("line\\nfeed\\t\\x1b[31m\\xff 9999999999") for path in shown)
    assert found.message.isprintable()
    found.message.encode()


def test_files_that_vanish_while_they_are_counted(make: Make, container: ContainerConfig) -> None:
    sandbox = Path(container.sandbox)
    churn = (
        "import os, sys, itertools\nos.chdir(sys.argv[1])\n"
        "for n in itertools.count():\n"
        "    os.makedirs(f'd{n}/e', exist_ok=True); open(f'd{n}/e/f', 'w').write('x' * 9000)\n"
        "    if n > 50: os.unlink(f'd{n-50}/e/f'); os.removedirs(f'd{n-50}/e')\n"
    )
    pid = os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", churn, str(sandbox)], {})
    try:
        isolator = make()
        isolator.prepare(container)
        for _ in range(20):
            counted(isolator, container)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_sandbox_that_is_gone_is_said(make: Make, container: ContainerConfig) -> None:
    isolator = make()
    isolator.prepare(replace(container, sandbox="/nonexistent/sandbox"))
    wait_until(
        (
            isolator.limitation(container.container_id) is None
            and "is not there" in isolator.usage(container.container_id).missing[0][1]
            for _ in iter(int, 1)
        ),
        "the failure",
    )


def test_without_enforcement_it_is_only_counted(make: Make, container: ContainerConfig) -> None:
    isolator = make(enforce_container_disk_quota=False)
    isolator.prepare(container)
    write(Path(container.sandbox, "file"), 20 * MIB)
    assert counted(isolator, container) > 16 * MIB
    assert isolator.limitation(container.container_id) is None
    (limit,) = isolator.limits(container.container_id)
    assert (limit.planned, limit.in_force) == (str(16 * MIB), "none")


def test_without_a_disk_resource_nothing_is_counted(make: Make, container: ContainerConfig) -> None:
    isolator = make()
    isolator.prepare(replace(container, resources=Resources.scalars({"cpus": 100})))
    assert isolator.watches(container.container_id) == ()
    assert isolator.limitation(container.container_id) is None
    assert isolator.usage(container.container_id).missing == ()
    isolator.update(container.container_id, Resources.scalars({"disk": 1000}), ResourceLimits())
    assert isolator.watches(container.container_id) != ()


def stand_in(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program named du before the real one on PATH."""
    directory.mkdir()
    program = directory / "du"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


def test_a_du_that_hangs_is_killed_by_its_deadline(
    make: Make, container: ContainerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path / "bin", monkeypatch, "exec sleep 600")
    isolator = make(du_deadline_ms=150)
    isolator.prepare(container)
    came_back_count = 0

    def ask() -> Iterator[bool]:
        nonlocal came_back_count
        while True:
            assert isolator.limitation(container.container_id) is None
            came_back_count += bool(isolator._scanning)
            yield "its deadline" in isolator.usage(container.container_id).missing[0][1]

    wait_until(ask(), "the deadline")
    assert came_back_count, "it was waited for"


def test_cleanup_ends_a_running_du(
    make: Make, container: ContainerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path / "bin", monkeypatch, "exec sleep 600")
    isolator = make(container_disk_watch_interval_ms=1)
    before = children_of(os.getpid())
    isolator.prepare(container)
    wait_until(
        (isolator.limitation(container.container_id) is None and bool(isolator._scanning) for _ in iter(int, 1)), "du"
    )
    (pid,) = children_of(os.getpid()) - before
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    isolator.cleanup(container.container_id)
    assert isolator._tracked == {}


def test_no_more_at_once_than_allowed_and_everybody_gets_a_turn(make: Make, tmp_path: Path) -> None:
    isolator = make(du_parallel_count=3, container_disk_watch_interval_ms=1)
    containers = []
    for number in range(30):
        config = replace(sample_container(tmp_path / f"s{number}"), container_id=ContainerId(f"c{number}"))
        write(Path(config.sandbox, "file"), MIB)
        containers.append(config)
        isolator.prepare(config)
    most = 0

    def ask() -> Iterator[bool]:
        nonlocal most
        while True:
            for config in containers:
                isolator.limitation(config.container_id)
                most = max(most, len(isolator._scanning))
            yield all(isolator.usage(config.container_id).disk_used_bytes for config in containers)

    wait_until(ask(), "everybody's figure")
    assert 1 <= most <= 3


def test_what_is_watched_follows_the_state(make: Make, container: ContainerConfig) -> None:
    isolator = make(container_disk_watch_interval_ms=1_000_000)
    isolator.prepare(container)
    (watch,) = isolator.watches(container.container_id)
    assert isinstance(watch, Interval)
    assert 900_000 < watch.interval_ms <= 1_000_000
    assert isolator.limitation(container.container_id) is None
    assert not isolator._scanning  # not yet due
    isolator._tracked[container.container_id].due_s = 0.0
    isolator.limitation(container.container_id)
    assert isolator.watches(container.container_id) == (Interval(interval_ms=POLL_MS),)
    counted(isolator, container)
    (watch,) = isolator.watches(container.container_id)
    assert isinstance(watch, Interval)
    assert 900_000 < watch.interval_ms <= 1_000_000


def test_a_recovered_container_is_counted_at_once(make: Make, container: ContainerConfig) -> None:
    isolator = make(container_disk_watch_interval_ms=60_000)
    write(Path(container.sandbox, "file"), 20 * MIB)
    place = isolator.host.place(container.container_id)
    isolator.recover([LiveContainer(config=container, cgroup=place, pid=1)], [])
    assert met(isolator, container).fatal


def test_a_volume_is_counted_by_itself_and_ends_only_who_can_write_to_it(make: Make, tmp_path: Path) -> None:
    isolator = make(work_dir=str(tmp_path))
    sandbox = sample_container(tmp_path / "sandbox")

    def using(name: str, *, read_only: bool) -> ContainerConfig:
        volume = Resource(
            name="disk",
            value=Scalar(milli=1000),
            reservations=(Reservation(role="r"),),
            volume=DiskVolume(persistence_id="v", read_only=read_only),
            shared=True,
        )
        resources = Resources((*sandbox.resources, volume))
        return replace(sandbox, container_id=ContainerId(name), resources=resources)

    writer, reader = using("writer", read_only=False), using("reader", read_only=True)
    directory = tmp_path / "agents" / "contract" / "volumes" / "roles" / "r" / "v"
    write(directory / "deep" / "x", 2 * MIB)
    (tmp_path / "sandbox" / "v").symlink_to(directory)
    for container in (writer, reader):
        isolator.prepare(container)
        assert counted(isolator, container) < MIB  # the sandbox alone: the link is not followed
    reader_key = next(key for key in isolator._tracked if key.startswith("reader:"))

    def ask() -> Iterator[bool]:
        while True:
            found = isolator.limitation(writer.container_id)
            assert isolator.limitation(reader.container_id) is None
            yield found is not None and isolator._tracked[reader_key].measured is not None

    wait_until(ask(), "both have counted the volume")
    found = isolator.limitation(writer.container_id)
    assert found is not None
    assert found.disk is not None
    assert (found.disk.volume, found.disk.limit_bytes, found.disk.largest[0].path) == ("v", MIB, "deep")
    assert found.message.startswith("volume v holds ")
    rows = {row.resource: row for row in isolator.limits(reader.container_id)}
    assert rows.keys() == {"disk", "disk of volume v"}
    assert (rows["disk of volume v"].in_force, rows["disk of volume v"].path) == ("none", str(directory))
    assert isolator.limits(writer.container_id)[1].in_force == str(MIB)
    isolator.cleanup(writer.container_id)
    assert isolator.watches(writer.container_id) == ()
    assert isolator.watches(reader.container_id)
