"""When to ask isolators about limits: eventfds (v1), inotify (v2) and intervals, all on the event loop.

Level-triggered: each container is asked once when its watch begins, and whenever anything fires; what it says is told only
when it differs from what it said before.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from agentd.core.events import Limited
from agentd.isolation import Isolation, measured_evidence
from agentd.isolation_thread import IsolationThread
from isolators.contract import CgroupEvent, Inotify, Interval
from paddock.kernel import notify
from paddock.kernel.errors import KernelError
from paddock.model.ids import ContainerId
from paddock.model.statistics import Limitation
from paddock.model.task import Evidence

_log = logging.getLogger(__name__)
_AFTER_FAILURE_MS = 15_000
_COUNTED_AFTER_S = 0.1
WATCH_AFTER_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """What was registered with the kernel, on the isolation thread."""

    eventfds: tuple[int, ...]
    inotify_watches: tuple[int, ...]
    is_empty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """`next_ms`: when the isolators want to be asked again, None when only events matter."""

    found: tuple[tuple[Limitation, Evidence], ...]
    next_ms: int | None


@dataclass(slots=True)
class _Watched:
    opened: _Opened
    told: dict[str, Limitation] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None
    asking: bool = False
    again: bool = False


class LimitWatcher:
    """One for all containers: one inotify instance, because a user may have only 128 of them."""

    def __init__(self, isolation: Isolation, thread: IsolationThread, post: Callable[[Limited], None]) -> None:
        """`post` is called on the event loop."""
        self._isolation = isolation
        self._thread = thread
        self._post = post
        self._loop = asyncio.get_running_loop()
        self._watched: dict[ContainerId, _Watched] = {}
        self._opening: dict[ContainerId, asyncio.TimerHandle] = {}
        self._containers_by_watch: dict[int, ContainerId] = {}
        self._inotify_fd = notify.open_inotify()
        self._loop.add_reader(self._inotify_fd, self._inotify_fired)

    def watch(self, container_id: ContainerId) -> None:
        """From soon on, until `forget`. Soon, because a container that has ended by then needs no watch: its record tells."""
        if container_id not in self._opening:
            self._opening[container_id] = self._loop.call_later(WATCH_AFTER_S, self._begin, container_id)

    def ask_again(self, container_id: ContainerId) -> None:
        """Its limits are others now, and when to ask may be, too."""
        self._ask(container_id)

    def _begin(self, container_id: ContainerId) -> None:
        self._thread.submit(
            "watches",
            lambda: self._open(container_id),
            lambda opened: self._opened(container_id, opened),
            lambda error: _log.error(
                "limits are not watched", extra={"container_id": container_id, "error": str(error)}
            ),
        )

    def forget(self, container_id: ContainerId) -> None:
        """Idempotent."""
        opening = self._opening.pop(container_id, None)
        if opening is not None:
            opening.cancel()
        watched = self._watched.pop(container_id, None)
        if watched is None:
            return
        if watched.timer is not None:
            watched.timer.cancel()
        self._close(watched.opened)

    def close(self) -> None:
        """All of them. Idempotent."""
        for container_id in (*self._opening, *self._watched):
            self.forget(container_id)
        if self._inotify_fd >= 0:
            self._loop.remove_reader(self._inotify_fd)
            os.close(self._inotify_fd)
            self._inotify_fd = -1

    def _open(self, container_id: ContainerId) -> _Opened:
        """On the isolation thread."""
        eventfds: list[int] = []
        inotify_watches: list[int] = []
        watches = self._isolation.watches(container_id)
        for watch in watches:
            try:
                match watch:
                    case CgroupEvent():
                        eventfds.append(notify.open_cgroup_event(watch.directory, watch.control, watch.arguments))
                    case Inotify():
                        inotify_watches.append(notify.add_inotify_watch(self._inotify_fd, watch.path))
                    case Interval():
                        pass  # asked for anew after each answer
            except KernelError as error:
                # It has ended already: its end is told by its record.
                _log.debug("watch not set", extra={"container_id": container_id, "error": str(error)})
        return _Opened(eventfds=tuple(eventfds), inotify_watches=tuple(inotify_watches), is_empty=not watches)

    def _opened(self, container_id: ContainerId, opened: _Opened) -> None:
        if container_id not in self._opening:
            self._close(opened)  # it was forgotten meanwhile
            return
        del self._opening[container_id]
        self._watched[container_id] = _Watched(opened)
        for fd in opened.eventfds:
            self._loop.add_reader(fd, self._eventfd_fired, container_id, fd)
        for watch in opened.inotify_watches:
            self._containers_by_watch[watch] = container_id
        if not opened.is_empty:
            self._ask(container_id)

    def _close(self, opened: _Opened) -> None:
        for fd in opened.eventfds:
            self._loop.remove_reader(fd)
            os.close(fd)
        for watch in opened.inotify_watches:
            self._containers_by_watch.pop(watch, None)
            try:
                notify.remove_inotify_watch(self._inotify_fd, watch)
            except KernelError:
                pass  # its file went away, and the kernel's watch with it

    def _eventfd_fired(self, container_id: ContainerId, fd: int) -> None:
        try:
            os.eventfd_read(fd)
        except BlockingIOError:
            return
        self._ask(container_id)
        # The kernel tells of the OOM before it has chosen, killed and counted: what was not yet there is there then.
        self._loop.call_later(_COUNTED_AFTER_S, self._ask, container_id)

    def _inotify_fired(self) -> None:
        fired = {self._containers_by_watch.get(event.watch) for event in notify.read_inotify(self._inotify_fd)}
        for container_id in fired:
            if container_id is not None:
                self._ask(container_id)

    def _ask(self, container_id: ContainerId) -> None:
        """One question per container at a time; what fires meanwhile makes for one more."""
        watched = self._watched.get(container_id)
        if watched is None:
            return
        if watched.asking:
            watched.again = True
            return
        watched.asking = True
        if watched.timer is not None:
            watched.timer.cancel()
            watched.timer = None

        def answered(answer: _Answer) -> None:
            self._answered(watched, container_id, answer)

        def failed(error: Exception) -> None:
            _log.error("limits could not be asked", extra={"container_id": container_id, "error": str(error)})
            self._answered(watched, container_id, _Answer(found=(), next_ms=_AFTER_FAILURE_MS))

        self._thread.submit("limitations", lambda: self._limitations(container_id), answered, failed)

    def _limitations(self, container_id: ContainerId) -> _Answer:
        """On the isolation thread."""
        found = self._isolation.limitations(container_id)
        intervals = (w.interval_ms for w in self._isolation.watches(container_id) if isinstance(w, Interval))
        next_ms = min(intervals, default=None)
        if not found:
            return _Answer(found=(), next_ms=next_ms)
        measured = measured_evidence(self._isolation.usage(container_id))
        told = tuple((each, Evidence(disk=each.disk) if each.disk else measured) for each in found)
        return _Answer(found=told, next_ms=next_ms)

    def _answered(self, watched: _Watched, container_id: ContainerId, answer: _Answer) -> None:
        watched.asking = False
        if self._watched.get(container_id) is not watched:
            return
        if answer.next_ms is not None:
            watched.timer = self._loop.call_later(answer.next_ms / 1000, self._ask, container_id)
        for limitation, evidence in answer.found:
            if watched.told.get(limitation.isolator) != limitation:
                watched.told[limitation.isolator] = limitation
                self._post(Limited(limitation=limitation, evidence=evidence))
        if watched.again:
            watched.again = False
            self._ask(container_id)
