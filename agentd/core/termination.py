"""The truth about an end: what the record, the limits and the wishes of others say together. One table, from the top down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from agentd.core.durable import ContainerStopping
from agentd.core.exit_record import ExitRecord
from paddock.model.container import Termination
from paddock.model.task import (
    Evidence,
    LaunchFailure,
    MemoryEvidence,
    OomVictim,
    Reason,
    StopEvidence,
    TaskState,
)

_MIB = 2**20
_SIGNAL_NAMES = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    4: "SIGILL",
    5: "SIGTRAP",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    10: "SIGUSR1",
    11: "SIGSEGV",
    12: "SIGUSR2",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
    31: "SIGSYS",
}
_SIGKILL = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class EndFacts:
    """All that is known about one end. `record` None: no supervisor ever wrote one.

    `rebooted`: it belongs to another boot of this host. `evidence`: what the isolators read out of the counters.
    """

    record: ExitRecord | None
    stopping: ContainerStopping | None = None
    failure: LaunchFailure | None = None
    evidence: Evidence = Evidence()
    unapplied: tuple[str, ...] = ()
    rebooted: bool = False
    max_completion_time_ms: int = 0


_OF_STAGES = {
    "image": Reason.IMAGE_NOT_FOUND,
    "access": Reason.IMAGE_ACCESS_DENIED,
    "pull": Reason.IMAGE_PULL_FAILED,
    "engine": Reason.ENGINE_UNRESPONSIVE,
}
"""Of a launch that failed there; every other stage is CONTAINER_LAUNCH_FAILED."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    state: TaskState
    reason: Reason | int
    message: str


def signal_name(number: int) -> str:
    """As the shell's manual says it."""
    return _SIGNAL_NAMES.get(number, f"signal {number}")


def exit_code(wait_status: int | None) -> int | None:
    """The code of a command that exited; None when a signal ended it or nobody knows."""
    return None if wait_status is None or wait_status & 0x7F else (wait_status >> 8) & 0xFF


def ending_signal(wait_status: int | None) -> int | None:
    """The signal that ended it; None when it exited or nobody knows."""
    return None if wait_status is None else (wait_status & 0x7F) or None


def terminate(facts: EndFacts) -> Termination:
    """The first row of the table that holds is the truth."""
    evidence = _evidence(facts)
    verdict = next(verdict for row in _TABLE if (verdict := row(facts, evidence)) is not None)
    return Termination(
        wait_status=facts.record.wait_status if facts.record else None,
        state=verdict.state,
        reason=int(verdict.reason),
        message=verdict.message,
        evidence=evidence,
    )


def _evidence(facts: EndFacts) -> Evidence:
    record = facts.record
    failure = facts.failure or (record.launch_error if record else None)
    if record is None:
        return replace(facts.evidence, launch_failure=failure, unapplied=facts.unapplied)
    memory = facts.evidence.memory
    if memory is not None or record.victims:
        memory = replace(memory or MemoryEvidence(oom_kill_count=len(record.victims or ())), victims=record.victims)
    kill = record.kill
    stop = None
    if kill is not None:
        stop = StopEvidence(
            signal=kill.signal, grace_period_ms=kill.grace_ms, took_ms=kill.took_ms, escalated=kill.escalated
        )
    limitation = facts.stopping.limitation if facts.stopping else None
    return replace(
        facts.evidence,
        exit_code=exit_code(record.wait_status),
        signal=ending_signal(record.wait_status),
        memory=memory,
        disk=limitation.disk if limitation and limitation.disk else facts.evidence.disk,
        health=limitation.health if limitation else None,
        stop=stop,
        launch_failure=failure,
        dropped_log_bytes=record.dropped_log_bytes,
        unapplied=facts.unapplied,
    )


def _launch_failed(facts: EndFacts, evidence: Evidence) -> _Verdict | None:
    failure = evidence.launch_failure
    if failure is None:
        return None
    message = f"the launch stopped at {failure.stage}: {failure.message}"
    return _Verdict(TaskState.FAILED, _OF_STAGES.get(failure.stage, Reason.CONTAINER_LAUNCH_FAILED), message)


def _rebooted(facts: EndFacts, evidence: Evidence) -> _Verdict | None:
    """What a supervisor saw to its end before the host went down is told as it was; of the rest nothing is known but this."""
    record = facts.record
    if not facts.rebooted or (record is not None and not _is_lost(record)):
        return None
    meanwhile = f", while it was being ended{_by(facts.stopping)}" if facts.stopping is not None else ""
    message = f"the host was started anew while this ran{meanwhile}; how it ended was not recorded"
    return _Verdict(TaskState.GONE, Reason.AGENT_REBOOTED, message)


def _is_lost(record: ExitRecord) -> bool:
    return record.supervisor_lost or record.wait_status is None


def _never_launched(facts: EndFacts, evidence: Evidence) -> _Verdict | None:
    if facts.record is not None:
        return None
    if facts.stopping is not None:
        message = f"killed during its launch{_by(facts.stopping)}; the command never ran"
        return _Verdict(TaskState.KILLED, _reason(facts.stopping, Reason.TASK_KILLED_DURING_LAUNCH), message)
    message = "the agent went away before it could hand the launch to the launcher; the command never ran"
    return _Verdict(TaskState.DROPPED, Reason.AGENT_RESTARTED, message)


def _supervisor_lost(facts: EndFacts, evidence: Evidence) -> _Verdict | None:
    record = facts.record
    if record is None or not _is_lost(record):
        return None
    message = "the container's supervisor (its shim) died, and the kernel ended the container with it"
    if facts.stopping is not None and facts.stopping.limitation is None:
        message = f"{message}, while it was being killed{_by(facts.stopping) or ' on request'}"
        return _Verdict(TaskState.KILLED, Reason.SUPERVISOR_LOST, message)
    return _Verdict(TaskState.FAILED, Reason.SUPERVISOR_LOST, message)


def _max_completion(facts: EndFacts, evidence: Evidence) -> _Verdict | None:
    if facts.record is None or not facts.record.max_completion_reached:
        return None
    message = (
        f"it ran for its maximum completion time, {facts.max_completion_time_ms} ms, and was ended{_stop(evidence)}"
    )
    return _Verdict(TaskState.FAILED, Reason.MAX_COMPLETION_TIME_REACHED, message + _oom(evidence))


def _limited(facts: EndFacts, evidence: Evidence) -> _Verdict | None:
    limitation = facts.stopping.limitation if facts.stopping else None
    if limitation is None or limitation.health is not None:
        return None
    return _Verdict(TaskState.FAILED, limitation.reason, limitation.message + _oom(evidence))


def _unhealthy(facts: EndFacts, evidence: Evidence) -> _Verdict | None:
    """Mesos' state for it too: it was killed, and did not fail by itself. When it did, before the kill, that is told below."""
    limitation = facts.stopping.limitation if facts.stopping else None
    if limitation is None or limitation.health is None or evidence.stop is None:
        return None
    return _Verdict(TaskState.KILLED, limitation.reason, limitation.message + _stop(evidence) + _oom(evidence))


def _killed(facts: EndFacts, evidence: Evidence) -> _Verdict | None:
    """As Mesos: what was being killed was killed, whatever its code. What ended before the kill reached it was not."""
    stop = evidence.stop
    if stop is None:
        return None
    by = _by(facts.stopping) if facts.stopping else ""
    if stop.escalated:
        late = (
            f": {signal_name(stop.signal)} did not end it within its grace period"
            if stop.grace_period_ms
            else " at once"
        )
        message = f"killed{by}{late}{_stop(evidence)}"
        return _Verdict(TaskState.KILLED, _reason(facts.stopping, Reason.KILL_GRACE_EXPIRED), message + _oom(evidence))
    message = f"killed{by}{_stop(evidence)}"
    return _Verdict(TaskState.KILLED, _reason(facts.stopping, Reason.KILL_REQUESTED), message + _oom(evidence))


def _memory(facts: EndFacts, evidence: Evidence) -> _Verdict | None:
    """SIGKILL that nobody of us sent, and an OOM kill of the main process, or of somebody that the kernel's log cannot name."""
    memory = evidence.memory
    if evidence.signal != _SIGKILL or memory is None or memory.oom_kill_count == 0:
        return None
    main = next((victim for victim in memory.victims or () if victim.main), None)
    if main is None and memory.victims is not None and len(memory.victims) >= memory.oom_kill_count:
        return None
    who = (
        f"its main process {main.comm} (pid {main.pid})"
        if main
        else "its main process (the kernel's log does not name it)"
    )
    message = f"out of memory: the kernel killed {who}{_bounds(memory)}"
    return _Verdict(TaskState.FAILED, Reason.CONTAINER_LIMITATION_MEMORY, message)


def _signalled(facts: EndFacts, evidence: Evidence) -> _Verdict | None:
    if evidence.signal is None:
        return None
    message = f"ended by {signal_name(evidence.signal)}, which Paddock did not send{_engine(facts)}" + _oom(evidence)
    return _Verdict(TaskState.FAILED, Reason.COMMAND_SIGNALED, message)


def _exited(facts: EndFacts, evidence: Evidence) -> _Verdict | None:
    message = f"exited with code {evidence.exit_code}{_engine(facts)}" + _oom(evidence)
    if evidence.exit_code == 0:
        return _Verdict(TaskState.FINISHED, Reason.UNSPECIFIED, message)
    return _Verdict(TaskState.FAILED, Reason.COMMAND_EXITED, message)


_TABLE: tuple[Callable[[EndFacts, Evidence], _Verdict | None], ...] = (
    _launch_failed,
    _rebooted,
    _never_launched,
    _supervisor_lost,
    _max_completion,
    _unhealthy,
    _limited,
    _killed,
    _memory,
    _signalled,
    _exited,
)


def _reason(stopping: ContainerStopping | None, reason: Reason) -> Reason:
    """What the wish itself says goes before how it was carried out; the message and the evidence have that."""
    wish = stopping.reason if stopping is not None else Reason.KILL_REQUESTED
    return reason if wish is Reason.KILL_REQUESTED else wish


def _by(stopping: ContainerStopping | None) -> str:
    return f" on request of {stopping.by}" if stopping is not None and stopping.by else ""


def _stop(evidence: Evidence) -> str:
    stop = evidence.stop
    if stop is None:
        return ""
    return f" ({signal_name(stop.signal)}, grace {stop.grace_period_ms} ms, ended after {stop.took_ms} ms)"


def _engine(facts: EndFacts) -> str:
    """Who else may have ended it."""
    record = facts.record
    if record is None or not (record.engine_away or record.engine_silent_ms):
        return ""
    what = "answered nobody" if record.engine_away else f"did not answer within {record.engine_silent_ms / 1000:g} s"
    return f", while its engine {what} (one that stops or starts without live-restore ends its containers)"


def _oom(evidence: Evidence) -> str:
    """What an end by other causes does not say: the kernel killed for memory in there."""
    memory = evidence.memory
    if memory is None or memory.oom_kill_count == 0:
        return ""
    count = memory.oom_kill_count
    return f"; the kernel killed {count} of its processes for memory{_names(memory.victims)}{_bounds(memory)}"


def _names(victims: tuple[OomVictim, ...] | None) -> str:
    if victims is None:
        return " (the kernel's log could not be read, so their names are unknown)"
    return f" ({', '.join(f'{victim.comm} {victim.pid}' for victim in victims[:5])})" if victims else ""


def _bounds(memory: MemoryEvidence) -> str:
    limit = "" if memory.limit_bytes is None else f", limit {memory.limit_bytes / _MIB:.1f} MiB"
    return limit + ("" if memory.peak_bytes is None else f", peak {memory.peak_bytes / _MIB:.1f} MiB")
