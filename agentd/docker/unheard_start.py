"""A start of which the engine has not told: it could not be asked, or went away before its answer. What has become of it.

An engine that was killed may have begun nothing, may have undone what it had begun, may have left it half made, or may know
nothing of a container that runs. None of these is told as another one, and nothing is started that may have run already.
"""

from __future__ import annotations

import os
import time

from agentd.docker import ended_process, plain_http

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agentd.docker.arrivals import Arrivals
    from agentd.docker.stand_in_order import Order

    Inspect = Callable[[], tuple[int, dict[str, object]]]
    """The engine's answer of now. Raises OSError, HttpError."""

PATIENCE_S = 60.0
"""An engine that is restarted is waited for so long, and so long at the least for the answer to another try."""
HALF_MADE_S = 5.0
"""What is half made so long after the engine has come back stays so."""
_LOOK_S = 10.0
_RETRY_S = 0.2
_NEVER = "0001-"
"""The year in which an engine says that something has happened that has not."""


class UnheardStart:
    """`settle` once. `was_sent`: the request may have come to the engine. `is_heard`, then: another try was answered."""

    def __init__(
        self, order: Order, engine_id: str, arrivals: Arrivals, inspect: Inspect, *, was_sent: bool, asked_at_s: float
    ) -> None:
        self._order = order
        self._engine_id = engine_id
        self._arrivals = arrivals
        self._inspect = inspect
        self._was_sent = was_sent
        self._until_s = max(asked_at_s + PATIENCE_S, time.monotonic() + _LOOK_S)
        self._half_until_s = 0.0
        self.is_heard = False

    def settle(self, failure: dict[str, object]) -> dict[str, object]:
        """Empty: it has started, and perhaps ended. Else why it has not; its status is 0 where the engine refuses nothing, and
        then signals that wait have nobody to go to.
        """
        while time.monotonic() < self._until_s:
            if runs(self._order, self._engine_id):
                return {}
            if self._arrivals.signals and not self._was_sent:
                return failure
            told = self._look(failure)
            if told is not None:
                return told
        return failure

    def _look(self, failure: dict[str, object]) -> dict[str, object] | None:
        """None: again."""
        try:
            status, found = self._inspect()
        except (OSError, plain_http.HttpError):
            status, found = 0, {}
        if status == 404:
            return {"status": status, "message": str(found.get("message", ""))}
        if status != 200:
            self._arrivals.turn([], _RETRY_S)
            return None
        state = found.get("State")
        state = state if isinstance(state, dict) else {}
        if state.get("Running") or not str(state.get("StartedAt", _NEVER)).startswith(_NEVER):
            return {}
        if state.get("Status") != "created":
            return {"status": 0, "message": f"it is {state.get('Status')}, says the engine, and was never started"}
        if os.path.isdir(self._order.cgroup_of(self._engine_id)):
            return self._wait_for_the_rest()
        if self._arrivals.signals:
            return failure
        return self._ask_again()

    def _wait_for_the_rest(self) -> dict[str, object] | None:
        """Of what an engine that is gone has begun: its containerd is about to undo it, or to carry it out. (This engine is at
        no start of it: it would not have answered before that is over.)
        """
        now_s = time.monotonic()
        self._half_until_s = self._half_until_s or now_s + HALF_MADE_S
        if now_s < self._half_until_s:
            self._arrivals.turn([], _RETRY_S)
            return None
        words = "the engine went away while it was starting it, and does not know what has become of that"
        return {"status": 0, "message": words}

    def _ask_again(self) -> dict[str, object] | None:
        path = f"/v{self._order.api}/containers/{self._engine_id}/start"
        left_s = max(self._until_s - time.monotonic(), _LOOK_S)
        try:
            asked = plain_http.begin(self._order.socket, "POST", path, left_s)
        except OSError:
            self._arrivals.turn([], _RETRY_S)
            return None
        self._was_sent = True
        failure = heard(asked)
        if not failure:
            self.is_heard = True
            return {}
        # It refuses what it does not know to be running.
        return None if not failure["status"] or runs(self._order, self._engine_id) else failure


def heard(asked: plain_http.Exchange) -> dict[str, object]:
    """Why it has not started, or nothing. Its status is 0 where the engine has not answered."""
    try:
        body = asked.read_json()
    except (OSError, plain_http.HttpError) as error:
        return failure_of(error)
    finally:
        asked.close()
    # 304: it runs already, started by an earlier try.
    return {} if asked.status in {204, 304} else {"status": asked.status, "message": str(body.get("message", ""))}


def failure_of(error: Exception) -> dict[str, object]:
    """Of an engine that has not answered."""
    return {"status": 0, "message": f"{type(error).__name__}: {error}"}


def runs(order: Order, engine_id: str) -> bool:
    """Whether its command is seen to run, whatever the engine says."""
    pid = ended_process.first_in(order.cgroup_of(engine_id))
    return pid > 0 and ended_process.has_begun(pid)
