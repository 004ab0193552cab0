"""After a restart: which containers live, which ended meanwhile, and what is ours without being known."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentd.containerizer.contract import Restored
from agentd.containerizer.places import Places
from agentd.containerizer.shim_link import Message, ShimLink
from agentd.containerizer.shim_words import said_in
from agentd.core.exit_record import ExitRecord
from agentd.isolation import Isolation
from agentd.isolation_thread import IsolationThread
from isolators.contract import HostFacts, LiveContainer
from paddock.kernel.brief_calls import Receiver
from paddock.launch import protocol
from paddock.model.errors import ContainerizerError
from paddock.model.ids import ContainerId

ANSWER_TIMEOUT_S = 5.0
_SWEEPS_TIMEOUT_S, _LEAST_SWEEP_S = 2.0, 0.2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A shim that answered. `said`: see shim_words; None when its launch is still under way."""

    connection: socket.socket
    pid: int
    said: Message | None


@dataclass(slots=True)
class Found:
    """`held`: what the kernel did not let go of, in its words."""

    live: dict[ContainerId, Live] = field(default_factory=dict)
    ended: dict[ContainerId, ExitRecord | None] = field(default_factory=dict)
    held: dict[ContainerId, str] = field(default_factory=dict)
    unknown: tuple[ContainerId, ...] = ()


class NativeRecovery:
    """Used once, before the first launch."""

    def __init__(self, host: HostFacts, places: Places, isolation: Isolation, thread: IsolationThread) -> None:
        """Touches nothing yet."""
        self._host = host
        self._places = places
        self._isolation = isolation
        self._thread = thread
        self._sweeps_until_s = 0.0

    async def run(self, restored: Sequence[Restored]) -> Found:
        """Isolators have recovered when this returns."""
        found = await asyncio.to_thread(self._look, restored)
        configs = {each.container.config.container_id: each.container.config for each in restored}
        live = [
            LiveContainer(
                config=configs[container_id],
                cgroup=self._host.place(container_id),
                pid=each.pid,
            )
            for container_id, each in found.live.items()
        ]
        orphans = (*found.ended, *found.held, *found.unknown)
        await self._thread.run("recover", lambda: self._isolation.recover(live, orphans))
        return found

    def _look(self, restored: Sequence[Restored]) -> Found:
        """Ask all shims first, then hear all: a thousand of them wake at the same time instead of one after the other."""
        found = Found()
        asked: dict[ContainerId, socket.socket] = {}
        for each in restored:
            connection = self._places.connect(each.container.config.container_id) if each.same_boot else None
            if connection is not None:
                connection.settimeout(ANSWER_TIMEOUT_S)
                connection.send(protocol.encode({"op": "state", "seq": 1}), socket.MSG_NOSIGNAL)
                asked[each.container.config.container_id] = connection
        for container_id, connection in asked.items():
            state = _state(connection)
            if state is None:
                connection.close()
            else:
                _end_execs(connection, state)
                found.live[container_id] = _live(connection, state)
        self._sweeps_until_s = time.monotonic() + _SWEEPS_TIMEOUT_S
        for each in restored:
            container_id = each.container.config.container_id
            if container_id not in found.live:
                self._settle(each, found)
        known = {each.container.config.container_id for each in restored}
        found.unknown = self._places.unknown(known, self._host)
        return found

    def _settle(self, restored: Restored, found: Found) -> None:
        container_id = restored.container.config.container_id
        try:
            # All of them together: what the kernel does not let go of is tried again later.
            timeout_s = max(self._sweeps_until_s - time.monotonic(), _LEAST_SWEEP_S)
            record = self._places.sweep(container_id, self._host, timeout_s)
            if record is None and restored.same_boot:
                self._places.forbid(container_id)
            found.ended[container_id] = record
        except ContainerizerError as error:
            found.held[container_id] = str(error)


def _state(connection: socket.socket) -> Message | None:
    """None when the shim ended instead of answering, or says nothing."""
    try:
        while content := connection.recv(protocol.MAX_MESSAGE_BYTES):
            message = protocol.decode(content)
            if message.get("event") == protocol.EVENT_EXITED:
                return None
            if message.get("answer") == "state":
                return message
    except (OSError, protocol.ProtocolError):
        return None
    return None


def _live(connection: socket.socket, state: Message) -> Live:
    pid = state.get("pid")
    return Live(connection=connection, pid=pid if isinstance(pid, int) else 0, said=said_in(state))


async def destroy_unknown(container_id: ContainerId, places: Places, host: HostFacts) -> None:
    """Ours by its names, and not in our log: nobody will ever ask for it."""
    _log.warning("orphan is destroyed", extra={"container_id": container_id})
    connection = await asyncio.to_thread(places.connect, container_id)
    if connection is not None:
        ended = asyncio.get_running_loop().create_future()
        link = ShimLink(
            container_id,
            connection,
            lambda _link, _message: None,
            lambda _: ended.set_result(None),
            Receiver(protocol.MAX_MESSAGE_BYTES),
        )
        link.tell("kill", signal=9, grace_ms=0)
        await ended
    try:
        await asyncio.to_thread(places.sweep, container_id, host)
    except ContainerizerError as error:
        _log.error("orphan could not be destroyed", extra={"container_id": container_id, "error": str(error)})
    else:
        await asyncio.to_thread(places.discard, (container_id,))


def _end_execs(connection: socket.socket, state: Message) -> None:
    """Whoever wanted these processes went away with the agent that had asked for them: callers, and checks of health."""
    execs = state.get("execs")
    for each in execs if isinstance(execs, list) else ():
        exec_id = each.get("exec_id") if isinstance(each, dict) else None
        try:
            request = {"op": "exec_kill", "seq": 2, "exec_id": exec_id, "signal": signal.SIGKILL.value}
            connection.send(protocol.encode(request), socket.MSG_NOSIGNAL)
        except OSError:
            return  # its end is heard of soon
