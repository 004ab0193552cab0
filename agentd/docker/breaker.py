"""Whether the engine is asked at all: one enum, one table, and when the next probe is due. Pure: time and chance are arguments.

A hung engine would cost every call its deadline. After some failures in a row nothing is sent but a probe, at growing
intervals; the first probe that is answered lets everything through again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from paddock.model.errors import InvalidTransition

_NS_PER_MS = 1_000_000


class Circuit(Enum):
    """As electricians say it: through a closed one flows something."""

    CLOSED = "closed"
    """Calls are sent."""
    OPEN = "open"
    """Calls fail at once. Also the beginning: nobody has heard from the engine."""
    HALF_OPEN = "half open"
    """The probe is under way; all other calls fail at once."""


class CircuitInput(Enum):
    """What can have happened. A failure is no answer within the deadline, or no connection; an error is an answer."""

    ANSWERED = "answered"
    FAILED = "failed"
    FAILED_TOO_OFTEN = "failed too often"
    PROBE_DUE = "probe due"
    PROBE_ANSWERED = "probe answered"
    PROBE_FAILED = "probe failed"


TABLE = MappingProxyType(
    {
        (Circuit.CLOSED, CircuitInput.ANSWERED): Circuit.CLOSED,
        (Circuit.CLOSED, CircuitInput.FAILED): Circuit.CLOSED,
        (Circuit.CLOSED, CircuitInput.FAILED_TOO_OFTEN): Circuit.OPEN,
        # Calls that were under way when it opened: only a probe closes it.
        (Circuit.OPEN, CircuitInput.ANSWERED): Circuit.OPEN,
        (Circuit.OPEN, CircuitInput.FAILED): Circuit.OPEN,
        (Circuit.OPEN, CircuitInput.PROBE_DUE): Circuit.HALF_OPEN,
        (Circuit.HALF_OPEN, CircuitInput.ANSWERED): Circuit.HALF_OPEN,
        (Circuit.HALF_OPEN, CircuitInput.FAILED): Circuit.HALF_OPEN,
        (Circuit.HALF_OPEN, CircuitInput.PROBE_ANSWERED): Circuit.CLOSED,
        (Circuit.HALF_OPEN, CircuitInput.PROBE_FAILED): Circuit.OPEN,
    }
)


def next_circuit(circuit: Circuit, happened: CircuitInput) -> Circuit:
    """The table's answer. Raises InvalidTransition where it has none."""
    following = TABLE.get((circuit, happened))
    if following is None:
        raise InvalidTransition("the circuit to the Docker engine", circuit.name, happened.name)
    return following


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When it opens, and how long it waits before a probe: twice as long after each that failed."""

    failure_count: int = 3
    first_wait_ms: int = 500
    longest_wait_ms: int = 15_000


@dataclass(slots=True)
class Breaker:
    """Times are the clock's for durations. Open from the beginning, its first probe due at once."""

    policy: BreakerPolicy
    probe_due_ns: int = 0
    circuit: Circuit = Circuit.OPEN
    failed_count: int = 0
    """Calls in a row while closed; probes in a row since."""

    @property
    def lets_through(self) -> bool:
        """Whether a call may be sent."""
        return self.circuit is Circuit.CLOSED

    def answered(self) -> None:
        """A call was, be it with an error."""
        self.circuit = next_circuit(self.circuit, CircuitInput.ANSWERED)
        if self.lets_through:
            self.failed_count = 0

    def failed(self, *, now_ns: int, chance: float) -> None:
        """A call was not answered. `chance`: at least 0, below 1."""
        happened = CircuitInput.FAILED
        if self.lets_through:
            self.failed_count += 1
            if self.failed_count >= self.policy.failure_count:
                happened = CircuitInput.FAILED_TOO_OFTEN
        self.circuit = next_circuit(self.circuit, happened)
        if happened is CircuitInput.FAILED_TOO_OFTEN:
            self.failed_count = 0
            self._wait(now_ns, chance)

    def begin_probe(self, *, now_ns: int) -> bool:
        """Whether one is due, which is then under way: exactly one of the next two calls tells how it went."""
        if self.circuit is not Circuit.OPEN or now_ns < self.probe_due_ns:
            return False
        self.circuit = next_circuit(self.circuit, CircuitInput.PROBE_DUE)
        return True

    def probe_answered(self) -> None:
        """Calls are sent again."""
        self.circuit = next_circuit(self.circuit, CircuitInput.PROBE_ANSWERED)
        self.failed_count = 0

    def probe_failed(self, *, now_ns: int, chance: float) -> None:
        """The next one is due later than this one was."""
        self.circuit = next_circuit(self.circuit, CircuitInput.PROBE_FAILED)
        self.failed_count += 1
        self._wait(now_ns, chance)

    def _wait(self, now_ns: int, chance: float) -> None:
        """From half of the interval to all of it: the agents of a cluster do not come back in one moment."""
        # 2 ** 16 half seconds are longer than any interval that makes sense: the exponent need not grow for ever.
        interval_ms = min(self.policy.first_wait_ms << min(self.failed_count, 16), self.policy.longest_wait_ms)
        self.probe_due_ns = now_ns + int(interval_ms * _NS_PER_MS * (1 + chance) / 2)
