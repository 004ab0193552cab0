"""The processes that callers have begun inside running containers, and which of their ends goes to whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from agentd.containerizer.exec_session import NativeExec
from agentd.containerizer.plan_json import Json
from agentd.containerizer.shim_link import Message, ShimLink
from paddock.model.ids import ContainerId


class ExecSessions:
    """For the event loop's thread."""

    def __init__(self) -> None:
        """None yet."""
        self._sessions: dict[tuple[ContainerId, str], NativeExec] = {}
        self._early_ends: dict[ContainerId, dict[str, Message]] = {}
        """A short process has ended before its beginning is dealt with: its end is kept meanwhile."""
        self._begin_counts: Counter[ContainerId] = Counter()

    async def begin(self, link: ShimLink, wanted: dict[str, Json], is_current: Callable[[], bool]) -> NativeExec:
        """`is_current`: whether the container's link is this one still."""
        container_id = link.container_id
        ends = self._early_ends.setdefault(container_id, {})
        self._begin_counts[container_id] += 1
        try:
            session = await NativeExec.begin(link, wanted)
            if (end := ends.pop(session.exec_id, None)) is not None:
                session.ended(end)
            elif is_current():
                self._sessions[container_id, session.exec_id] = session
            else:
                session.lost()
        finally:
            self._begin_counts[container_id] -= 1
            if not self._begin_counts[container_id]:
                del self._begin_counts[container_id]
                del self._early_ends[container_id]
        return session

    def ended(self, container_id: ContainerId, message: Message) -> None:
        """As its shim says."""
        exec_id = str(message.get("exec_id"))
        session = self._sessions.pop((container_id, exec_id), None)
        if session is not None:
            session.ended(message)
        elif container_id in self._early_ends:
            self._early_ends[container_id][exec_id] = message

    def lose(self, container_id: ContainerId) -> None:
        """The container's shim is gone, and with it all of these."""
        for key in [key for key in self._sessions if key[0] == container_id]:
            self._sessions.pop(key).lost()
