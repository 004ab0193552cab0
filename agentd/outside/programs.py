"""Starting outside programs from the event loop, and hearing of their end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import agentd
from isolators.contract import HostFacts
from paddock.kernel.descriptors import make_sealed_memfd
from paddock.model.container import UserIdentity

ROOT = UserIdentity(name="root", uid=0, gid=0, groups=(), home="/")
CGROUP_NAME = ".programs"
"""No container's name begins like this."""

_CONTROLLERS = frozenset({"", "cpu", "memory", "pids"})
_MEMORY_LIMIT_BYTES = 2**30
_END_TIMEOUT_S = 5.0
_PIPE_BYTES = 65_536
_REMOVE_TRIES_COUNT = 50
_REMOVE_AGAIN_S = 0.05
_FD_OF_FILE = 3
_MAIN = "import sys; sys.path[:0] = [{root!r}]; from {module} import main; main()"
_log = logging.getLogger(__name__)

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]


class ProgramFailed(Exception):
    """It ended without an answer."""


@dataclass(slots=True)
class Programs:
    """For the event loop's thread, which must be the process' first: an outside program dies with the thread that began it."""

    host: HostFacts
    _running_count: int = 0
    _lingering: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(
        self, module: str, request: Mapping[str, Json], user: UserIdentity, fd: int = -1
    ) -> dict[str, object]:
        """`main` of the module, as this user, with `fd` as its descriptor 3. Its answer.

        Cancelled, it kills the process and returns when that is gone. Raises ProgramFailed when it ends without an answer.
        """
        said_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        cgroups = self._enter_cgroups()
        whole = {
            **request,
            "agent_pid": os.getpid(),
            "cgroups": cgroups,
            "memory_limit_bytes": _MEMORY_LIMIT_BYTES,
            "uid": user.uid,
            "gid": user.gid,
            "groups": list(user.groups),
        }
        pidfd = -1
        try:
            try:
                pid = _spawn(module, json.dumps(whole).encode(), write_fd, fd)
            finally:
                os.close(write_fd)
            pidfd = os.pidfd_open(pid)
            status = await self._end(pid, pidfd)
            said = os.read(said_fd, _PIPE_BYTES)
        finally:
            os.close(said_fd)
            self._leave_cgroups(cgroups)
        return _answer(module, said, status)

    async def _end(self, pid: int, pidfd: int) -> int:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(pidfd, _resolve, ended)
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            await asyncio.wait((ended,), timeout=_END_TIMEOUT_S)
            if not ended.done():
                _log.warning("program does not end; it is waited for", extra={"pid": pid})
            raise
        finally:
            if ended.done():
                loop.remove_reader(pidfd)
                os.close(pidfd)
                status = _reap(pid)
            else:
                self._linger(pid, pidfd, ended)
        return status

    def _linger(self, pid: int, pidfd: int, ended: asyncio.Future[None]) -> None:
        """One that the kernel holds: reaped when it lets go."""

        async def reap() -> None:
            await ended
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)
            _reap(pid)

        self._keep(asyncio.get_running_loop().create_task(reap()))

    def _enter_cgroups(self) -> list[str]:
        self._running_count += 1
        found = []
        for controller, root in self.host.cgroup_roots:
            if controller in _CONTROLLERS:
                directory = f"{root}/{CGROUP_NAME}"
                try:
                    # Not what is above: under systemd that is a scope, which systemd alone makes.
                    _make(root)
                    _make(directory)
                except OSError as error:
                    _log.warning("programs run without a cgroup", extra={"path": directory, "error": str(error)})
                    continue
                _weigh_least(directory)
                found.append(directory)
        return list(dict.fromkeys(found))

    def clear(self) -> None:
        """What programs of an agent that was killed have left: the kernel has ended them with it."""
        for _, root in self.host.cgroup_roots:
            _remove(f"{root}/{CGROUP_NAME}")

    def _leave_cgroups(self, directories: Sequence[str]) -> None:
        self._running_count -= 1
        if not self._running_count and not _remove_all(directories):
            self._keep(asyncio.get_running_loop().create_task(self._leave_later(directories)))

    async def _leave_later(self, directories: Sequence[str]) -> None:
        """The kernel counts a process for a moment after its end."""
        for _ in range(_REMOVE_TRIES_COUNT):
            await asyncio.sleep(_REMOVE_AGAIN_S)
            if self._running_count or _remove_all(directories):
                return

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)


def _make(directory: str) -> None:
    """Already there is no error."""
    try:
        os.mkdir(directory, 0o755)
    except FileExistsError:
        pass


def _remove_all(directories: Sequence[str]) -> bool:
    """Whether all are gone; each is tried."""
    gone = [_remove(directory) for directory in directories]
    return all(gone)


def _remove(directory: str) -> bool:
    """Whether it is gone."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _reap(pid: int) -> int:
    """Its wait status; it has ended."""
    return os.waitpid(pid, 0)[1]


def _weigh_least(directory: str) -> None:
    """Where the processor is short, tasks come first."""
    for name, value in (("cpu.shares", b"2"), ("cpu.weight", b"1")):
        try:
            fd = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            os.write(fd, value)
        except OSError:
            continue  # niced all the same
        finally:
            os.close(fd)


def _spawn(module: str, request: bytes, write_fd: int, fd: int) -> int:
    """posix_spawn: the agent is threaded and never forks. The interpreter is isolated from everything that is not ours."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(agentd.__file__)))
    interpreter = os.path.realpath(sys.executable)
    stdin_fd = make_sealed_memfd("paddock-request", request)
    actions: list[tuple[int, ...]] = [
        (os.POSIX_SPAWN_DUP2, stdin_fd, 0),
        (os.POSIX_SPAWN_DUP2, write_fd, 1),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    if fd >= 0:
        actions.append((os.POSIX_SPAWN_DUP2, fd, _FD_OF_FILE))
    try:
        return os.posix_spawn(
            interpreter,
            [interpreter, "-I", "-S", "-c", _MAIN.format(root=root, module=module)],
            {"LANG": "C.UTF-8", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            file_actions=actions,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE),
        )
    finally:
        os.close(stdin_fd)


def _answer(module: str, said: bytes, status: int) -> dict[str, object]:
    text = said.decode("utf-8", "replace").strip()
    try:
        found = json.loads(text.rpartition("\n")[2])
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    code = os.waitstatus_to_exitcode(status)
    raise ProgramFailed(f"{module} ended with {code} and said nothing" + (f" but {text[-500:]!r}" if text else ""))
