"""The agent's connection to its launcher: found or started, started anew when it died, and asked to launch."""

from __future__ import annotations

import array
import asyncio
import errno
import logging
import os
import select
import signal
import socket
import struct
import time
from collections import deque

from agentd.containerizer import launcher_process
from agentd.containerizer.launcher_process import LauncherCommand
from paddock.kernel import brief_calls
from paddock.launch import plan_file, protocol
from paddock.launch.launcher_facts import LauncherFacts, decode_facts
from paddock.model.errors import ConfigError

START_TIMEOUT_S = 60.0
"""For a busy machine; one that ends instead of listening is noticed at once."""

RESTART_FIRST_S = 0.1
RESTART_LIMIT_S = 30.0
_LOOK_EVERY_S = 0.005
_CREDENTIALS = struct.Struct("3i")
_LAUNCH = protocol.encode({"format": protocol.FORMAT, "op": "launch"})
_PING = protocol.encode({"op": "ping"})
# ETOOMANYREFS: as many descriptors in flight as a process may have open.
_IS_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS})

_log = logging.getLogger(__name__)


class LauncherLink:
    """One connection, kept. A launcher that died is started anew at once, so that the next launch does not wait for it."""

    def __init__(self, command: LauncherCommand) -> None:
        """Nothing is started before `ensure`."""
        self._command = command
        self._connection: socket.socket | None = None
        self._pid = 0
        self._pidfd = -1
        self._facts: LauncherFacts | None = None
        self._closed = False
        self._is_blocked = False
        self._unsent: deque[tuple[int, socket.socket]] = deque()
        self._restart: asyncio.Task[None] | None = None

    def ensure(self) -> None:
        """Connect to a living launcher, else start one; blocks for a moment. Raises ConfigError when none comes up.

        One of another build, that does not know our plans, is replaced; its containers go on.
        """
        connection = self._reach()
        if not self._check(connection):
            _log.warning("launcher of another build is replaced")
            connection.close()
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
            connection = self._reach()
            if not self._check(connection):
                connection.close()
                raise self._failed("it is of another build")
        self._connection = connection

    def _reach(self) -> socket.socket:
        self._await_end()
        connection = self._connect()
        if connection is None:
            # One that was too slow the last time is still on its way, and ours to reap.
            self._pid = self._pid or launcher_process.start(self._command)
            connection = self._await_start()
        self._end_the_late(connection)
        return connection

    @property
    def facts(self) -> LauncherFacts:
        """What the launcher has told of itself; there once it has been started."""
        assert self._facts is not None
        return self._facts

    async def start(self) -> None:
        """Notice its death from now on."""
        if self._connection is None:
            await asyncio.to_thread(self.ensure)
        assert self._connection is not None
        self._connection.setblocking(False)
        asyncio.get_running_loop().add_reader(self._connection, self._readable)
        self._flush()

    def launch(self, plan_fd: int) -> socket.socket:
        """Our end of the shim's first connection, which ends without a word when the launch came to nothing.

        The plan's descriptor stays the caller's. A launch waits here while the launcher is busy, or is being started anew.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if not self._unsent and self._sends(plan_fd, theirs):
            brief_calls.close(theirs.detach())
        else:
            self._unsent.append((os.dup(plan_fd), theirs))
        return ours

    def _sends(self, plan_fd: int, theirs: socket.socket) -> bool:
        """False: not now. A full socket tells when it is not; of one that died it is read elsewhere."""
        if self._connection is None:
            return False
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [plan_fd, theirs.fileno()]))]
        try:
            self._connection.sendmsg([_LAUNCH], rights, socket.MSG_NOSIGNAL)
        except OSError as error:
            if error.errno in _IS_FULL:
                self._is_blocked = True
                asyncio.get_running_loop().add_writer(self._connection, self._flush)
            return False
        return True

    def _flush(self) -> None:
        while self._unsent and self._connection is not None:
            if not self._sends(*self._unsent[0]):
                return  # where it died, what is unsent goes to the next one
            self._forget_first()
        self._unblock()

    def _unblock(self) -> None:
        if self._is_blocked and self._connection is not None:
            asyncio.get_running_loop().remove_writer(self._connection)
        self._is_blocked = False

    def _forget_first(self) -> None:
        plan_fd, theirs = self._unsent.popleft()
        brief_calls.close(plan_fd)
        brief_calls.close(theirs.detach())

    def close(self) -> None:
        """The launcher lives on."""
        self._closed = True
        self._drop()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if self._restart is not None:
            self._restart.cancel()
        while self._unsent:
            self._forget_first()

    def _readable(self) -> None:
        assert self._connection is not None
        try:
            content = self._connection.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if content:
            return
        self._drop()
        if not self._closed:
            _log.warning("launcher died; starting another one")
            self._restart = asyncio.get_running_loop().create_task(self._start_anew())

    async def _start_anew(self) -> None:
        """Until it works: what cannot be launched meanwhile fails, and the next launch may find it working again."""
        delay_s = RESTART_FIRST_S
        while not self._closed:
            try:
                await self.start()
            except (ConfigError, OSError):
                _log.exception("launcher does not start; trying again", extra={"delay_s": delay_s})
                while self._unsent:
                    self._forget_first()
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, RESTART_LIMIT_S)
            else:
                return

    def _await_end(self) -> None:
        """An earlier launcher that hung up is dying: until it is dead it has the lock, and may still be connected to."""
        if self._pidfd >= 0:
            select.select([self._pidfd], [], [], START_TIMEOUT_S)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._pid:
            try:
                ended, _ = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:
                ended = self._pid
            if ended:
                self._pid = 0

    def _drop(self) -> None:
        if self._connection is not None:
            asyncio.get_running_loop().remove_reader(self._connection)
            self._unblock()
            self._connection.close()
            self._connection = None

    def _connect(self) -> socket.socket | None:
        path = self._command.socket_path
        try:
            directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        connection.settimeout(START_TIMEOUT_S)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        except OSError:
            connection.close()
            return None
        finally:
            os.close(directory)
        return connection

    def _await_start(self) -> socket.socket:
        """Once, while nothing else is to be done: so looking again every few milliseconds is good enough.

        Ours ends when another one has the lock: one that an agent started that died since. Who is on its way is waited for; it
        may die on it, and then ours is the one.
        """
        deadline_s = time.monotonic() + START_TIMEOUT_S
        start_again_at_s, delay_s = 0.0, RESTART_FIRST_S
        while (now_s := time.monotonic()) < deadline_s:
            connection = self._connect()
            if connection is not None:
                return connection
            if not self._pid and now_s >= start_again_at_s:
                self._pid = launcher_process.start(self._command)
            ended, status = os.waitpid(self._pid, os.WNOHANG) if self._pid else (0, 0)
            if ended:
                self._pid = 0
                if os.waitstatus_to_exitcode(status) != protocol.ANOTHER_RUNS:
                    raise self._failed(f"it ended with status {status}")
                start_again_at_s, delay_s = now_s + delay_s, 2 * delay_s
            time.sleep(_LOOK_EVERY_S)
        raise self._failed(f"it did not listen within {START_TIMEOUT_S:g} s")

    def _end_the_late(self, connection: socket.socket) -> None:
        """Ours, where another one listens: it would only find the lock taken."""
        if self._pid and self._pid != _peer_pid(connection):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def _check(self, connection: socket.socket) -> bool:
        """False: it does not know our plans."""
        try:
            connection.send(_PING, socket.MSG_NOSIGNAL)
            answer = protocol.decode(connection.recv(protocol.MAX_MESSAGE_BYTES))
        except (OSError, protocol.ProtocolError) as error:
            connection.close()
            raise self._failed(f"who listens at {self._command.socket_path} is no launcher: {error}") from None
        if answer.get("agent_id") != self._command.agent_id:
            connection.close()
            raise self._failed(f"who listens at {self._command.socket_path} serves agent {answer.get('agent_id')}")
        self._pidfd = os.pidfd_open(_peer_pid(connection))
        if answer.get("format") != protocol.FORMAT or answer.get("plan_format") != plan_file.FORMAT:
            return False
        try:
            self._facts = decode_facts(answer.get("facts"))
        except protocol.ProtocolError as error:
            connection.close()
            raise self._failed(f"it tells nothing of itself: {error}") from None
        return True

    def _failed(self, why: str) -> ConfigError:
        return ConfigError((f"the launcher does not serve: {why}; see {self._command.log_path}",))


def _peer_pid(connection: socket.socket) -> int:
    """Who listens, by the kernel's word: what is ended is nobody else."""
    pid, _uid, _gid = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return int(pid)
