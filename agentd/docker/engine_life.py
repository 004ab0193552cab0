"""A stand-in from the start of its container on: carries its output, passes signals on, and learns how it ended."""

from __future__ import annotations

import errno
import os
import sys
import time

from agentd.docker import ended_process, plain_http, plain_json
from agentd.docker.log_frames import FrameError, LogFrames, since_of
from agentd.docker.unheard_start import UnheardStart, failure_of, heard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agentd.docker.arrivals import Arrivals
    from agentd.docker.stand_in_order import Order

FORMAT = 1
EXIT_START_FAILED = 125
"""`docker run`'s code for it. The note says why."""

CALL_TIMEOUT_S = 10.0
LAST_OUTPUT_S = 7.0
"""How long after the end, or after what came last of the rest of the output, the engine has to send more: it may be restarting.
Of who is wanted to end, after the end alone: less than a shim is patient after a SIGKILL, and what is known is to be told."""

STATUS_TIMEOUT_S = 60.0
SILENT_AFTER_S = 2.0
"""A busy host may take a second to answer. An engine that stops refuses nobody where systemd holds its socket: it is silent."""

_RETRY_S = 0.2
_ENDED = ("exited", "dead")


class EngineLife:
    """`run` once. `arrivals`: signals that came before wait in there."""

    def __init__(self, order: Order, engine_id: str, arrivals: Arrivals) -> None:
        self._order = order
        self._engine_id = engine_id
        self._arrivals = arrivals
        self._held = ended_process.Held()
        self._writes: dict[str, object] | None = None
        self._frames = LogFrames()
        self._logs: plain_http.Exchange | None = None
        self._retry_at_s = 0.0
        self._ended_at_s = 0.0
        self._is_cut = False
        self._is_engine_away = False
        self._silent_ms = 0
        self._problem = self._untold = ""
        self._is_behind = False
        self._is_wanted_to_end = False
        self._patient_until_s = 0.0
        self._last_state: dict[str, object] = {}
        self._begun_at_s = time.monotonic()

    def run(self, asked: plain_http.Exchange | OSError) -> int:
        """The wait status to end with. `asked`: its start, or why it could not be."""
        path = f"/containers/{self._engine_id}"
        failure = self._hear_start(asked)
        if failure:
            if self._arrivals.signals and not failure["status"]:
                # It is not there, and somebody has wanted its end: so it is told, and not as a start that failed.
                return self._arrivals.signals[0]
            self._write_note({"failed": failure})
            return EXIT_START_FAILED << 8
        if pid := self._pid_in_cgroup():
            # Before the engine is asked: where the end has come already, it first sees to that.
            self._hold(pid)
        logs = f"{path}/logs?follow=1&stdout=1&stderr=1&timestamps=1"
        self._open_logs(logs)
        found = self._inspect()
        if self._held.pidfd < 0:
            self._meet(_inside(found, "State"))
        self._writes = _writes_of(found) if found else None
        if not self._last_state:
            # Else the end is told as soon as the output has come, and both are one word.
            self._write_note(self._whom())
        self._follow(logs)
        status, oom_killed = self._status()
        self._write_end(oom_killed=oom_killed, is_last=True)
        return status

    def _write_end(self, *, oom_killed: bool | None, is_last: bool) -> None:
        """`is_last`: the engine's part may go."""
        problem = "; ".join(filter(None, (self._problem, self._untold)))
        end = {"counters": self._held.counters, "oom_killed": oom_killed, "problem": problem}
        late_ms = int((time.monotonic() - self._ended_at_s) * 1000)
        engine = {"engine_away": self._is_engine_away, "engine_silent_ms": self._silent_ms}
        self._write_note({**self._whom(), **end, **engine, "late_ms": late_ms, "last": is_last})

    def _hear_start(self, asked: plain_http.Exchange | OSError) -> dict[str, object]:
        """Why it has not started, or nothing. A signal meanwhile waits: half a start cannot be taken back."""
        was_sent = not isinstance(asked, OSError)
        failure = failure_of(asked) if isinstance(asked, OSError) else heard(asked)
        if not failure or failure["status"]:
            return failure
        unheard = UnheardStart(
            self._order,
            self._engine_id,
            self._arrivals,
            self._inspect_once,
            was_sent=was_sent,
            asked_at_s=self._begun_at_s,
        )
        failure = unheard.settle(failure)
        self._is_cut = not unheard.is_heard
        return failure

    def _whom(self) -> dict[str, object]:
        who = {"engine_id": self._engine_id, "pid": self._held.pid, "main_pid": self._held.main_pid}
        return {**who, "writes": self._writes}

    def _pid_in_cgroup(self) -> int:
        """0: it has ended already, or is in no PID namespace of its own."""
        return ended_process.first_in(self._order.cgroup_of(self._engine_id))

    def _state(self) -> dict[str, object]:
        return _inside(self._inspect(), "State")

    def _inspect(self) -> dict[str, object]:
        """The engine's word; empty where it has none: the container is gone. Tries until it answers, or time is over."""
        deadline_s = time.monotonic() + STATUS_TIMEOUT_S
        while True:
            try:
                status, body = self._inspect_once()
            except (OSError, plain_http.HttpError) as error:
                self._untold = f"the engine did not tell how it ended: {error}"
            else:
                self._untold = "" if status == 200 else f"the engine says {status} {body.get('message', '')}"
                return body if status == 200 else {}
            if time.monotonic() > deadline_s or self._is_late():
                return {}
            self._turn([], _RETRY_S)
            self._see_end()

    def _inspect_once(self) -> tuple[int, dict[str, object]]:
        """Raises OSError, HttpError."""
        path = f"/v{self._order.api}/containers/{self._engine_id}/json"
        exchange = plain_http.begin(self._order.socket, "GET", path, CALL_TIMEOUT_S)
        try:
            deadline_s = time.monotonic() + CALL_TIMEOUT_S
            while exchange.sock.fileno() not in self._turn([exchange.sock.fileno()], _RETRY_S):
                self._see_end()
                if time.monotonic() > deadline_s or self._is_late():
                    raise TimeoutError(errno.ETIMEDOUT, "no answer")
            body = exchange.read_json()
            return exchange.status, body
        finally:
            exchange.close()

    def _meet(self, state: dict[str, object]) -> None:
        """It has started: so it runs, or this is the last that there is to be said of it."""
        self._hold(_number(state.get("Pid")))
        if state.get("Status") in _ENDED:
            self._last_state = state
            self._is_engine_away = self._is_cut
            self._ended_at_s = time.monotonic()

    def _hold(self, pid: int) -> None:
        order = self._order
        if self._held.take(pid, self._engine_id, order.reads, has_init=order.has_init):
            self._pass_on()

    def _follow(self, path: str) -> None:
        """Until the container has ended and its output has come, or can come no more."""
        self._patient_until_s = time.monotonic() + LAST_OUTPUT_S
        while True:
            if self._logs is None and time.monotonic() >= self._retry_at_s:
                self._open_logs(path)
            sources = [] if self._logs is None else [self._logs.sock.fileno()]
            ready = self._turn(sources, _RETRY_S)
            # First: an engine that is back to say so was away at an end that came before.
            self._see_end()
            if self._logs is not None and self._logs.sock.fileno() in ready:
                self._carry(self._logs)
            is_unseen = self._held.pidfd < 0 and self._logs is None and not self._ended_at_s
            if is_unseen and not self._state().get("Running"):
                self._ended_at_s = time.monotonic()
            if self._ended_at_s and (self._logs is None or self._is_late()):
                if self._logs is None and not self._is_late() and (self._problem or self._is_behind):
                    continue
                if self._logs is not None:
                    self._interrupt(f"the engine did not end its log in {LAST_OUTPUT_S:g} s")
                return

    def _is_late(self) -> bool:
        """Whether it has ended, and the engine has had its time."""
        until_s = self._ended_at_s + LAST_OUTPUT_S
        if not self._is_wanted_to_end:
            until_s = max(until_s, self._patient_until_s)
        return self._ended_at_s > 0 and time.monotonic() > until_s

    def _see_end(self) -> None:
        """Of a process that is held, at once."""
        if not self._ended_at_s and self._held.see_end():
            self._ended_at_s = time.monotonic()
            self._look_for_engine(is_well=self._held.wait_status() == 0)

    def _look_for_engine(self, *, is_well: bool) -> None:
        """One that goes without live-restore ends what ran when nobody can reach it; one that comes, before it answers. After a
        good end it is not waited for.
        """
        self._is_engine_away = self._is_cut
        if self._is_engine_away:
            return
        try:
            ping = plain_http.begin(self._order.socket, "GET", "/_ping", SILENT_AFTER_S)
            try:
                if not is_well:
                    ping.receive()
            finally:
                ping.close()
        except TimeoutError:
            self._silent_ms = int(SILENT_AFTER_S * 1000)
        except (OSError, plain_http.HttpError) as error:
            self._is_engine_away = _is_gone(error)

    def _open_logs(self, path: str) -> None:
        since = since_of(self._frames.since)
        try:
            self._logs = plain_http.begin(
                self._order.socket, "GET", f"/v{self._order.api}{path}{since}", CALL_TIMEOUT_S
            )
            self._frames.reconnect()
            self._problem = ""
        except OSError as error:
            self._interrupt(error)

    def _carry(self, logs: plain_http.Exchange) -> None:
        try:
            content = logs.receive()
            if logs.status not in {0, 200}:
                self._interrupt(f"the engine answered {logs.status}")
                return
            frames = self._frames.take(content)
        except (OSError, plain_http.HttpError, FrameError) as error:
            self._interrupt(error)
            return
        self._is_cut = False
        self._patient_until_s = time.monotonic() + LAST_OUTPUT_S
        for fd, text in frames:
            _write_all(fd, text)
        if logs.is_over:
            self._problem = ""
            self._see_end()
            # An engine that does not know that it runs ends its log where it is: the rest is asked for. (Of one that nobody
            # holds the engine alone knows.)
            self._is_behind = self._held.pidfd >= 0 and not self._ended_at_s
            self._drop_logs()

    def _interrupt(self, error: object) -> None:
        """The engine went, or something is in its place: it is asked again soon."""
        self._is_cut = _is_gone(error)
        self._problem = f"output after {self._frames.since or 'the start'} may be missing: {error}"
        self._drop_logs()

    def _drop_logs(self) -> None:
        if self._logs is not None:
            self._logs.close()
            self._logs = None
        self._retry_at_s = time.monotonic() + _RETRY_S

    def _status(self) -> tuple[int, bool | None]:
        """As waitpid would give it, and whether the engine saw an OOM kill (None: it was not asked in time)."""
        exact = self._held.wait_status()
        if exact is not None:
            self._untold = ""
            # An init says 128 + n for a command that signal n has ended.
            is_second_hand = self._order.has_init and not exact & 0x7F
            return self._held.status_behind_init(exact >> 8) if is_second_hand else exact, None
        # Only the engine knows. A shim whose kill is under way does not wait for it: what else is known is told first.
        if not self._last_state:
            self._write_end(oom_killed=None, is_last=False)
        self._patient_until_s = time.monotonic() + STATUS_TIMEOUT_S
        state = self._last_state or self._state()
        while state.get("Running") and not self._is_late():
            self._turn([], _RETRY_S / 10)
            state = self._state()
        if not state or state.get("Running") or state.get("Status") == "created":
            # What the engine does not know to have run, or to have ended, it cannot tell the end of either.
            self._untold = self._untold or "the engine does not know how it ended"
            return EXIT_START_FAILED << 8, None
        return ended_process.status_of_code(_number(state.get("ExitCode"))), bool(state.get("OOMKilled"))

    def _turn(self, sources: list[int], timeout_s: float) -> set[int]:
        """Wait for one of these, a signal, the end, or the time."""
        if self._held.pidfd >= 0 and not self._ended_at_s:
            sources = [*sources, self._held.pidfd]
        ready = self._arrivals.turn(sources, timeout_s)
        self._pass_on()
        return ready

    def _pass_on(self) -> None:
        self._is_wanted_to_end = self._is_wanted_to_end or bool(self._arrivals.signals)
        if self._held.pidfd >= 0 and self._arrivals.signals:
            waiting, self._arrivals.signals = self._arrivals.signals, []
            self._held.send(waiting)

    def _write_note(self, fields: dict[str, object]) -> None:
        """Whole or not at all. What is not written costs the agent only what stands in it."""
        temporary = f"{self._order.note}.new"
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(plain_json.text_of({"format": FORMAT, **fields}))
            os.rename(temporary, self._order.note)
        except OSError as error:
            sys.stderr.write(f"paddock: {self._order.note}: {error.strerror}\n")


def _is_gone(error: object) -> bool:
    """What has an answer, if not a good one, is there; so is one that has not taken what waits for it."""
    is_slow = isinstance(error, (TimeoutError, BlockingIOError))
    return isinstance(error, (OSError, plain_http.HttpError)) and not is_slow


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _inside(fields: object, name: str) -> dict[str, object]:
    found = fields.get(name) if isinstance(fields, dict) else None
    return found if isinstance(found, dict) else {}


def _writes_of(found: dict[str, object]) -> dict[str, object]:
    """Where the container writes beside its sandbox, on the host, and where it sees that: the layer above its image, volumes of
    the engine's.
    """
    mounts = found.get("Mounts")
    volumes = [mount for mount in mounts if isinstance(mount, dict)] if isinstance(mounts, list) else []
    written = [each for each in volumes if each.get("Type") == "volume" and each.get("RW")]
    places = [(each.get("Source"), each.get("Destination")) for each in written]
    places.append((_inside(_inside(found, "GraphDriver"), "Data").get("UpperDir"), "/"))
    return {source: target for source, target in places if isinstance(source, str) and source}


def _write_all(fd: int, text: bytes) -> None:
    view = memoryview(text)
    while view:
        view = view[os.write(fd, view) :]
