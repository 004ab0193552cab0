"""A real container's cgroup of this machine's version: made from a plan, written as the shim writes, removed with all in it."""

import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from isolators.contract import CgroupEvent, HostFacts, Inotify, Watch
from isolators.host import read_host_facts
from paddock.kernel import cgroup1, cgroup2, cgroup_files, notify
from paddock.model.ids import AgentId, ContainerId
from paddock.model.launch_plan import CgroupWrite, LaunchPlan

TIME_SCALE = float(os.environ.get("PADDOCK_TEST_TIME_SCALE", "1"))
ENTER = 'files=$1; shift; for file in $files; do echo 0 > "$file" || exit 99; done; exec "$@"'


def wait_until(happened: Iterable[bool], what: str, timeout_s: float = 30.0) -> None:
    """Look again and again until it is so."""
    deadline_s = time.monotonic() + timeout_s * TIME_SCALE
    for is_so in happened:
        if is_so:
            return
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
        time.sleep(0.01)


class LiveCgroup:
    """One container's directories under an agent of its own."""

    def __init__(self, host: HostFacts, container_id: ContainerId, plan: LaunchPlan) -> None:
        self.host = host
        self.place = host.place(container_id)
        self.is_v2 = host.cgroup_mode == "v2"
        names = ("",) if self.is_v2 else plan.controllers
        self._directories = {name: Path(str(self.place.directory(name))) for name in names}
        self._plan = plan

    def make(self) -> None:
        """The directories, then the plan's writes."""
        for directory in dict.fromkeys(self._directories.values()):  # cpu and cpuacct may share a mount
            directory.parent.mkdir(exist_ok=True)
            if self.is_v2:
                cgroup2.enable_controllers(str(directory.parent), self._plan.controllers)
            directory.mkdir()
        self.write(self._plan.writes)

    def path(self, controller: str, file: str) -> Path:
        """Where the file is."""
        return Path(str(self.place.directory(controller))) / file

    def read(self, controller: str, file: str) -> str:
        """What the kernel says."""
        return self.path(controller, file).read_text(encoding="ascii").strip()

    def write(self, writes: Sequence[CgroupWrite]) -> None:
        """In order, one system call each; a refusal raises KernelError, and what came before stays."""
        for write in writes:
            directory = str(self.place.directory(write.controller))
            directory_fd = cgroup_files.open_directory(directory)
            try:
                cgroup_files.write_file(directory_fd, write.file, write.value, directory)
            except FileNotFoundError:
                assert write.optional, f"{directory}/{write.file} was asked for"
            finally:
                os.close(directory_fd)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A process that enters first and then becomes the command."""
        file = "cgroup.procs" if self.is_v2 else "tasks"
        files = " ".join(str(directory / file) for directory in self._directories.values())
        command = ["/bin/sh", "-c", ENTER, "sh", files, *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def remove(self) -> None:
        """End what is in it, then the directories, the agent's too."""
        directories = {name: str(directory) for name, directory in self._directories.items() if directory.exists()}
        if self.is_v2 and directories:
            cgroup2.kill_all(directories[""], timeout_s=30 * TIME_SCALE)
        elif directories:
            cgroup1.kill_all(directories, timeout_s=30 * TIME_SCALE)
        for directory in self._directories.values():
            cgroup_files.remove(str(directory.parent))


@contextmanager
def live_cgroup(host: HostFacts, container_id: ContainerId, plan: LaunchPlan) -> Iterator[LiveCgroup]:
    """Removed whatever happens, also when making it failed half-way."""
    cgroup = LiveCgroup(host, container_id, plan)
    try:
        cgroup.make()
        yield cgroup
    finally:
        cgroup.remove()


def real_host(name: str) -> HostFacts:
    """This machine, for an agent whose directories nobody else has."""
    return read_host_facts(AgentId(f"test-{name}-{os.getpid()}"))


@contextmanager
def watched(watch: Watch) -> Iterator[int]:
    """A descriptor that becomes readable when the watch fires, as the agent makes it."""
    match watch:
        case CgroupEvent(directory=directory, control=control, arguments=arguments):
            fd = notify.open_cgroup_event(directory, control, arguments)
        case Inotify(path=path):
            fd = notify.open_inotify()
            notify.add_inotify_watch(fd, path)
        case _:
            raise TypeError(f"{watch} has no descriptor")
    try:
        yield fd
    finally:
        os.close(fd)
