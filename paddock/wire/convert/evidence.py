"""What was seen of a task's end, protobuf ↔ model: each part only where it was seen."""

from __future__ import annotations

from paddock.model.task import (
    CpuEvidence,
    DirectoryUsage,
    DiskEvidence,
    Evidence,
    LaunchFailure,
    MemoryEvidence,
    OomVictim,
    PidsEvidence,
    StopEvidence,
)
from paddock.wire.convert import bounds
from paddock.wire.convert.health import health_evidence_from_wire, health_evidence_to_wire
from paddock.wire.v1 import tasks_pb2 as pb


def evidence_from_wire(message: pb.Evidence, field: str = "evidence") -> Evidence:
    """Absent parts stay None: nobody looked, or nobody could."""
    bounds.count(message.unapplied, f"{field}.unapplied")
    return Evidence(
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        signal=message.signal if message.HasField("signal") else None,
        memory=_memory_from_wire(message.memory, f"{field}.memory") if message.HasField("memory") else None,
        cpu=_cpu_from_wire(message.cpu) if message.HasField("cpu") else None,
        pids=_pids_from_wire(message.pids) if message.HasField("pids") else None,
        disk=disk_from_wire(message.disk, f"{field}.disk") if message.HasField("disk") else None,
        stop=_stop_from_wire(message.stop) if message.HasField("stop") else None,
        launch_failure=_failure_from_wire(message.launch_failure, f"{field}.launch_failure")
        if message.HasField("launch_failure")
        else None,
        dropped_log_bytes=message.dropped_log_bytes,
        health=health_evidence_from_wire(message.health, f"{field}.health") if message.HasField("health") else None,
        unapplied=tuple(
            bounds.text(line, f"{field}.unapplied[{index}]", bounds.MESSAGE_LIMIT_BYTES)
            for index, line in enumerate(message.unapplied)
        ),
    )


def evidence_to_wire(evidence: Evidence) -> pb.Evidence:
    """What evidence_from_wire turns back into the same."""
    return pb.Evidence(
        exit_code=evidence.exit_code,
        signal=evidence.signal,
        memory=_memory_to_wire(evidence.memory) if evidence.memory else None,
        cpu=_cpu_to_wire(evidence.cpu) if evidence.cpu else None,
        pids=_pids_to_wire(evidence.pids) if evidence.pids else None,
        disk=disk_to_wire(evidence.disk) if evidence.disk else None,
        stop=_stop_to_wire(evidence.stop) if evidence.stop else None,
        launch_failure=_failure_to_wire(evidence.launch_failure) if evidence.launch_failure else None,
        dropped_log_bytes=evidence.dropped_log_bytes,
        unapplied=[bounds.shown(line) for line in evidence.unapplied],
        health=health_evidence_to_wire(evidence.health) if evidence.health else None,
    )


def _memory_from_wire(message: pb.MemoryEvidence, field: str) -> MemoryEvidence:
    bounds.count(message.victims, f"{field}.victims")
    victims = tuple(
        OomVictim(pid=victim.pid, comm=bounds.text(victim.comm, f"{field}.victims[{index}].comm"), main=victim.main)
        for index, victim in enumerate(message.victims)
    )
    return MemoryEvidence(
        limit_bytes=message.limit_bytes if message.HasField("limit_bytes") else None,
        peak_bytes=message.peak_bytes if message.HasField("peak_bytes") else None,
        oom_kill_count=message.oom_kill_count,
        victims=victims if message.victims_known else None,
    )


def _memory_to_wire(memory: MemoryEvidence) -> pb.MemoryEvidence:
    return pb.MemoryEvidence(
        limit_bytes=memory.limit_bytes,
        peak_bytes=memory.peak_bytes,
        oom_kill_count=memory.oom_kill_count,
        victims=[
            pb.OomVictim(pid=victim.pid, comm=bounds.shown(victim.comm, bounds.NAME_LIMIT_BYTES), main=victim.main)
            for victim in memory.victims or ()
        ],
        victims_known=memory.victims is not None,
    )


def _cpu_from_wire(message: pb.CpuEvidence) -> CpuEvidence:
    return CpuEvidence(
        usage_us=message.usage_us if message.HasField("usage_us") else None,
        period_count=message.period_count if message.HasField("period_count") else None,
        throttled_count=message.throttled_count if message.HasField("throttled_count") else None,
        throttled_us=message.throttled_us if message.HasField("throttled_us") else None,
    )


def _cpu_to_wire(cpu: CpuEvidence) -> pb.CpuEvidence:
    return pb.CpuEvidence(
        usage_us=cpu.usage_us,
        period_count=cpu.period_count,
        throttled_count=cpu.throttled_count,
        throttled_us=cpu.throttled_us,
    )


def _pids_from_wire(message: pb.PidsEvidence) -> PidsEvidence:
    return PidsEvidence(
        limit_count=message.limit_count if message.HasField("limit_count") else None,
        refused_count=message.refused_count if message.HasField("refused_count") else None,
        peak_count=message.peak_count if message.HasField("peak_count") else None,
    )


def _pids_to_wire(pids: PidsEvidence) -> pb.PidsEvidence:
    return pb.PidsEvidence(limit_count=pids.limit_count, refused_count=pids.refused_count, peak_count=pids.peak_count)


def disk_from_wire(message: pb.DiskEvidence, field: str = "disk") -> DiskEvidence:
    """The largest directories stay in their order."""
    bounds.count(message.largest, f"{field}.largest")
    return DiskEvidence(
        limit_bytes=message.limit_bytes,
        used_bytes=message.used_bytes,
        largest=tuple(
            DirectoryUsage(
                path=bounds.text(usage.path, f"{field}.largest[{index}].path", bounds.PATH_LIMIT_BYTES),
                used_bytes=usage.used_bytes,
            )
            for index, usage in enumerate(message.largest)
        ),
        du_duration_ms=message.du_duration_ms,
        interval_ms=message.interval_ms,
        volume=bounds.text(message.volume, f"{field}.volume"),
    )


def disk_to_wire(disk: DiskEvidence) -> pb.DiskEvidence:
    """What disk_from_wire turns back into the same."""
    return pb.DiskEvidence(
        limit_bytes=disk.limit_bytes,
        used_bytes=disk.used_bytes,
        largest=[
            pb.DirectoryUsage(path=bounds.shown(usage.path, bounds.PATH_LIMIT_BYTES), used_bytes=usage.used_bytes)
            for usage in disk.largest
        ],
        du_duration_ms=disk.du_duration_ms,
        interval_ms=disk.interval_ms,
        volume=disk.volume,
    )


def _stop_from_wire(message: pb.StopEvidence) -> StopEvidence:
    return StopEvidence(
        signal=message.signal,
        grace_period_ms=message.grace_period_ms,
        took_ms=message.took_ms,
        escalated=message.escalated,
    )


def _stop_to_wire(stop: StopEvidence) -> pb.StopEvidence:
    return pb.StopEvidence(
        signal=stop.signal, grace_period_ms=stop.grace_period_ms, took_ms=stop.took_ms, escalated=stop.escalated
    )


def _failure_from_wire(message: pb.LaunchFailure, field: str) -> LaunchFailure:
    limit_bytes = bounds.MESSAGE_LIMIT_BYTES
    return LaunchFailure(
        stage=bounds.text(message.stage, f"{field}.stage"),
        message=bounds.text(message.message, f"{field}.message", limit_bytes),
        operation=bounds.text(message.operation, f"{field}.operation", limit_bytes),
        path=bounds.text(message.path, f"{field}.path", limit_bytes),
        value=bounds.text(message.value, f"{field}.value", limit_bytes),
        errno=message.errno,
    )


def _failure_to_wire(failure: LaunchFailure) -> pb.LaunchFailure:
    return pb.LaunchFailure(
        stage=bounds.shown(failure.stage, bounds.NAME_LIMIT_BYTES),
        operation=bounds.shown(failure.operation),
        path=bounds.shown(failure.path),
        value=bounds.shown(failure.value),
        errno=failure.errno,
        message=bounds.shown(failure.message),
    )
