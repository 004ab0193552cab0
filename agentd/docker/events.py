"""What happens to containers, as the engine tells it. Read on the event loop.

Events may be missed, while the engine is away: whoever follows them is told when a connection begins, and looks for himself.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from agentd.docker.answers import EngineEvent, event_from
from agentd.docker.calls import Calls
from agentd.docker.failures import Call, EngineFailure
from agentd.docker.streams import Request, Stream, open_stream
from paddock.model.errors import PaddockError

_AGAIN_S = 0.2
"""Between two connections, as long as the engine answers; while it does not, the circuit decides."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFollower:
    """`connected`: from now on nothing is missed, before there may have been anything. `heard`: each event after that, if
    its action is one of these.

    Both are called on the event loop, in order.
    """

    calls: Calls
    labels: Mapping[str, str]
    actions: tuple[str, ...]
    connected: Callable[[], None]
    heard: Callable[[EngineEvent], None]

    async def follow(self) -> None:
        """Until it is cancelled. An engine that goes away is waited for."""
        while True:
            await self.calls.until_reachable()
            try:
                await self._follow_once()
            except (OSError, PaddockError) as error:
                _log.info("docker engine's events ended", extra={"error": str(error)})
            # The engine was restarted, perhaps with other settings.
            self.calls.suspect()
            await asyncio.sleep(_AGAIN_S)

    async def _follow_once(self) -> None:
        labels = [f"{name}={value}" for name, value in self.labels.items()]
        filters = {"type": ["container"], "event": self.actions, "label": labels}
        query = urlencode({"filters": json.dumps(filters)})
        call = self.calls.call("follow", "events of", "containers")
        stream = await open_counted(self.calls, call, Request(method="GET", path=f"/events?{query}"))
        try:
            self.connected()
            while (line := await stream.line()) is not None:
                try:
                    event = event_from(line)
                except EngineFailure as error:
                    _log.warning("docker engine told an event that makes no sense", extra={"error": str(error)})
                else:
                    self.heard(event)
        finally:
            stream.close()


async def open_counted(calls: Calls, call: Call, request: Request) -> Stream:
    """In the engine's version, with the deadline of a look and the circuit's say. Raises what `Calls.look` does."""
    versioned = replace(request, path=f"/v{calls.api_version}{request.path}")
    return await calls.attempt(call, lambda: open_stream(calls.socket_path, call, versioned, calls.limits.look_s))
