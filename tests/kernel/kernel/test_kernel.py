"""The kernel's verbs against the kernel: paths, processes, cgroup files, notifications, sealed memory."""

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paddock.kernel import capabilities, cgroup1, cgroup2, cgroup_files, descriptors, kmsg, notify, paths, processes
from paddock.kernel.errors import KernelError
from paddock.kernel.mounts import V2, Hierarchy, read_hierarchy, read_mounts

TIME_SCALE = float(os.environ.get("PADDOCK_TEST_TIME_SCALE", "1"))

Open = Callable[[int, str, int, int], int]


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    return read_hierarchy()


@pytest.fixture
def group(hierarchy: Hierarchy) -> Iterator[Path]:
    root = hierarchy.unified if hierarchy.mode == V2 else hierarchy.controllers["pids"]
    path = Path(root) / f"paddock-kernel-{os.getpid()}"
    path.mkdir()
    yield path
    cgroup_files.remove(str(path))
    assert not path.exists()


def test_the_hierarchy_is_what_is_mounted(hierarchy: Hierarchy) -> None:
    assert hierarchy.mode in {"v1", "v2", "hybrid"}
    for mount_point in {*hierarchy.controllers.values(), hierarchy.unified} - {""}:
        assert (Path(mount_point) / "cgroup.procs").exists()
    assert any(mount.mount_point == "/" for mount in read_mounts())


@pytest.mark.parametrize("opener", [paths.open_beneath, paths.open_beneath_by_components])
class TestOpenBeneath:
    @pytest.fixture
    def sandbox(self, tmp_path: Path) -> Iterator[int]:
        (tmp_path / "outside").write_text("secret")
        box = tmp_path / "box"
        (box / "dir").mkdir(parents=True)
        (box / "dir" / "file").write_text("inside")
        (box / "link").symlink_to(tmp_path / "outside")
        (box / "linked-dir").symlink_to(tmp_path)
        fd = paths.open_directory(str(box))
        yield fd
        os.close(fd)

    def test_inside(self, opener: Open, sandbox: int) -> None:
        fd = opener(sandbox, "dir/file", os.O_RDONLY, 0)
        assert os.read(fd, 100) == b"inside"
        assert not os.get_inheritable(fd)
        os.close(fd)

    @pytest.mark.parametrize(
        ("path", "code"),
        [
            ("link", errno.ELOOP),
            ("linked-dir/outside", errno.ELOOP),
            ("../outside", errno.EXDEV),
            ("dir/../../outside", errno.EXDEV),
            ("/etc/passwd", errno.EXDEV),
            ("none", errno.ENOENT),
        ],
    )
    def test_outside(self, opener: Open, sandbox: int, path: str, code: int) -> None:
        with pytest.raises(KernelError) as refused:
            opener(sandbox, path, os.O_RDONLY, 0)
        assert refused.value.errno == code
        assert refused.value.path == path

    def test_creating(self, opener: Open, sandbox: int) -> None:
        os.close(opener(sandbox, "dir/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))
        with pytest.raises(FileExistsError):
            opener(sandbox, "link", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)


def test_a_process_is_known_by_pid_and_start_time() -> None:
    ticks = processes.read_start_time_ticks(os.getpid())
    assert processes.is_alive(os.getpid(), ticks)
    assert not processes.is_alive(os.getpid(), ticks + 1)
    child = subprocess.Popen(["sleep", "1000"])
    ticks = processes.read_start_time_ticks(child.pid)
    pidfd = processes.open_pidfd(child.pid)
    assert processes.send_signal(pidfd, signal.SIGKILL)
    assert processes.has_ended(pidfd, 30_000)
    # A zombie: kill(pid, 0) would say that it lives.
    assert processes.is_same_process(child.pid, ticks)
    assert not processes.is_alive(child.pid, ticks)
    child.wait()
    assert not processes.send_signal(pidfd, signal.SIGKILL)
    assert not processes.is_same_process(child.pid, ticks)
    os.close(pidfd)
    with pytest.raises(ProcessLookupError):
        processes.open_pidfd(child.pid)
    with pytest.raises(ProcessLookupError):
        processes.read_start_time_ticks(child.pid)


def test_a_name_with_parentheses_hides_no_start_time() -> None:
    code = "import sys; open('/proc/self/comm', 'w').write('a) R 1 1 ('); print(1, flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    ticks = processes.read_start_time_ticks(child.pid)
    uptime_ticks = float(Path("/proc/uptime").read_text().split()[0]) * os.sysconf("SC_CLK_TCK")
    assert 0 < ticks <= uptime_ticks
    child.communicate()


def test_a_refused_value_is_raised_with_file_and_value(group: Path) -> None:
    fd = cgroup_files.open_directory(str(group))
    with pytest.raises(KernelError) as refused:
        cgroup_files.write_file(fd, "pids.max", "nonsense", str(group))
    assert (refused.value.path, refused.value.value) == (f"{group}/pids.max", "nonsense")
    assert refused.value.errno == errno.EINVAL
    cgroup_files.write_file(fd, "pids.max", "7", str(group))
    assert cgroup_files.read_file(fd, "pids.max") == "7\n"
    with pytest.raises(FileNotFoundError):
        cgroup_files.write_file(fd, "none", "1")
    os.close(fd)


@pytest.mark.v1_only
def test_a_limit_below_what_is_used_is_refused(hierarchy: Hierarchy) -> None:
    path = Path(hierarchy.controllers["memory"]) / f"paddock-kernel-busy-{os.getpid()}"
    path.mkdir()
    fd = cgroup_files.open_directory(str(path))
    join = f"open({str(path / 'tasks')!r}, 'w').write('0')"
    code = f"import sys; {join}; b = bytearray(50 << 20); print(1, flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(KernelError) as refused:
            cgroup_files.write_file(fd, "memory.limit_in_bytes", "1048576", str(path))
        assert refused.value.errno == errno.EBUSY
    finally:
        child.communicate()
        os.close(fd)
        cgroup_files.remove(str(path))


def test_removing_takes_what_lies_below(group: Path) -> None:
    inner = group / "one" / "two"
    inner.mkdir(parents=True)
    assert [Path(p).name for p in cgroup_files.list_subgroups(str(group / "one"))] == ["two", "one"]
    cgroup_files.remove(str(group / "one"))
    assert not (group / "one").exists()
    cgroup_files.remove(str(group / "one"))


def test_removing_what_is_in_use_gives_up_in_time(group: Path) -> None:
    child = subprocess.Popen(["sleep", "1000"])
    (group / "cgroup.procs").write_text(str(child.pid))
    with pytest.raises(KernelError) as refused:
        cgroup_files.remove(str(group), timeout_s=0.1)
    assert refused.value.errno == errno.EBUSY
    child.kill()
    child.wait()


@pytest.mark.parametrize("count", [1, 20])
def test_killing_all(group: Path, hierarchy: Hierarchy, count: int) -> None:
    children = [subprocess.Popen(["sleep", "1000"]) for _ in range(count)]
    inner = group / "inner"
    inner.mkdir()
    for index, child in enumerate(children):
        ((inner if index % 2 else group) / "cgroup.procs").write_text(str(child.pid))
    if hierarchy.mode == V2:
        assert cgroup2.is_populated(str(group))
        cgroup2.kill_all(str(group))
        assert not cgroup2.is_populated(str(group))
    else:
        cgroup1.kill_all({"pids": str(group)})
        assert cgroup1.list_processes([str(group)]) == set()
    assert [child.wait(30 * TIME_SCALE) for child in children] == [-9] * count


def test_killing_where_nobody_is(group: Path, hierarchy: Hierarchy) -> None:
    if hierarchy.mode == V2:
        cgroup2.kill_all(str(group / "none"))
    else:
        cgroup1.kill_all({"pids": str(group / "none")})


@pytest.mark.v1_only
def test_killing_frozen_processes(hierarchy: Hierarchy) -> None:
    path = Path(hierarchy.controllers["freezer"]) / f"paddock-kernel-frozen-{os.getpid()}"
    path.mkdir()
    child = subprocess.Popen(["sleep", "1000"])
    (path / "cgroup.procs").write_text(str(child.pid))
    cgroup1.set_frozen(str(path), frozen=True)
    cgroup1.kill_all({"freezer": str(path)})
    assert child.wait(30 * TIME_SCALE) == -9
    cgroup_files.remove(str(path))


@pytest.mark.v1_only
def test_a_new_cpuset_is_made_usable(hierarchy: Hierarchy) -> None:
    path = Path(hierarchy.controllers["cpuset"]) / f"paddock-kernel-cpuset-{os.getpid()}"
    path.mkdir()
    cgroup1.prepare_cpuset(str(path))
    assert (path / "cpuset.cpus").read_text().strip()
    assert (path / "cpuset.mems").read_text().strip()
    path.rmdir()


@pytest.mark.v1_only
def test_a_cgroup_event_is_heard(hierarchy: Hierarchy) -> None:
    path = Path(hierarchy.controllers["memory"]) / f"paddock-kernel-event-{os.getpid()}"
    path.mkdir()
    fd = notify.open_cgroup_event(str(path), "memory.oom_control")
    with pytest.raises(BlockingIOError):
        os.read(fd, 8)
    # Removing the cgroup fires its events too.
    path.rmdir()
    assert select.select([fd], [], [], 30)[0]
    os.close(fd)
    with pytest.raises(FileNotFoundError):
        notify.open_cgroup_event(str(path), "memory.oom_control")


def test_inotify_is_heard(tmp_path: Path) -> None:
    fd = notify.open_inotify()
    file = tmp_path / "events"
    file.touch()
    watch = notify.add_inotify_watch(fd, str(file))
    assert notify.read_inotify(fd) == ()
    file.write_text("x")
    assert {event.watch for event in notify.read_inotify(fd)} == {watch}
    notify.remove_inotify_watch(fd, watch)
    notify.remove_inotify_watch(fd, watch)
    with pytest.raises(FileNotFoundError):
        notify.add_inotify_watch(fd, str(tmp_path / "none"))
    os.close(fd)


def test_sealed_memory_cannot_be_changed() -> None:
    fd = descriptors.make_sealed_memfd("test", b"content")
    assert descriptors.read_sealed_memfd(fd, 100) == b"content"
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    with pytest.raises(KernelError) as too_long:
        descriptors.read_sealed_memfd(fd, 3)
    assert too_long.value.errno == errno.EFBIG
    os.close(fd)
    unsealed = os.memfd_create("test")
    with pytest.raises(KernelError) as refused:
        descriptors.read_sealed_memfd(unsealed, 100)
    assert refused.value.errno == errno.EINVAL
    os.close(unsealed)


def test_closing_all_descriptors_but_some() -> None:
    code = """
import os
from paddock.kernel.descriptors import close_all_except
null = os.open("/dev/null", os.O_RDONLY)
kept = [os.dup2(null, number) for number in (7, 50, 51)]
others = [os.dup2(null, number) for number in (20, 49, 52, 300)]
close_all_except(tuple(kept))
print(*sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1])
"""
    root = Path(__file__).resolve().parents[3]
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout
    # The listing itself takes the first free number.
    assert set(shown.split()) - {"3"} <= {"0", "1", "2", "7", "50", "51"}
    assert {"7", "50"} <= set(shown.split())


def test_own_capabilities() -> None:
    status = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if "Cap" in line)
    assert capabilities.read_own_permitted() == int(status["CapPrm"], 16)
    assert capabilities.read_own_bounding() == int(status["CapBnd"], 16)


def test_the_kernels_log_can_be_read() -> None:
    assert all(isinstance(message, str) for message in kmsg.read_messages())
    assert kmsg.read_messages()
    with pytest.raises(FileNotFoundError):
        kmsg.read_messages("/dev/none")
