"""Lets a recording happen again: the same core, the same events at the same times, and whether the same comes of it."""

from __future__ import annotations

from dataclasses import dataclass

from masterd.core.machine import Machine
from masterd.recording import outcome_of, plain, read
from paddock.daemon.durable_codec import CodecError
from paddock.model.errors import InvalidRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first event of which something else came. `number` counts from 1."""

    number: int
    event: str
    recorded: str
    replayed: str
    effects: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How many events happened again, the machine afterwards, and the first difference."""

    event_count: int
    machine: Machine
    difference: Difference | None


def replay(path: str, *, until: int | None = None) -> Replayed:
    """All events, or the first `until`; it ends at the first difference. Raises InvalidRequest for what is no recording."""
    try:
        beginning, events = read(path)
        machine, count = Machine(beginning.state()), 0
        for happened in events:
            if until is not None and count >= until:
                break
            count += 1
            effects: tuple[object, ...] = ()
            try:
                made = machine.handle(happened.event, now_ns=happened.now_ns, wall_ns=happened.wall_ns)
                outcome, effects = outcome_of(made), made
            except Exception as error:  # noqa: BLE001 - a core that breaks, as recorded, is what is looked for
                outcome = outcome_of(error)
            if outcome != happened.outcome:
                difference = Difference(
                    number=count,
                    event=plain(happened.event),
                    recorded=happened.outcome,
                    replayed=outcome,
                    effects="\n".join(map(plain, effects)),
                )
                return Replayed(event_count=count, machine=machine, difference=difference)
    except (CodecError, OSError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise InvalidRequest("RECORDING", path, f"name a file that masterd wrote with record_events ({what})") from None
    return Replayed(event_count=count, machine=machine, difference=None)


def tell(path: str, *, until: int | None = None) -> tuple[int, str]:
    """For `paddock replay`: the exit code, and what to print."""
    found = replay(path, until=until)
    state = found.machine.state
    counts = f"{len(state.agents)} agents, {len(state.frameworks)} frameworks, {len(state.offers)} offers"
    difference = found.difference
    if difference is None:
        return 0, f"{found.event_count} events happened again, with the same effects; then there are {counts}"
    words = (
        f"event {difference.number} differs: {difference.event}",
        f"recorded: {difference.recorded or 'nothing'}",
        f"replayed: {difference.replayed or 'nothing'}",
        difference.effects,
    )
    return 1, "\n".join(words).rstrip()
