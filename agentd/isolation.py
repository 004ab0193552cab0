"""All isolators of one container as one: planning in the table's order, cleaning up in reverse, going on after a failure."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace

from agentd.core.exit_record import ExitRecord
from agentd.metrics.meters import IsolatorMeters
from isolators.contract import Isolator, LiveContainer, Source, Watch, is_measuring
from paddock.model.container import ContainerConfig
from paddock.model.errors import ContainerizerError, PaddockError, PlanConflict
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import CgroupWrite, LaunchPlan, PlanMerger
from paddock.model.statistics import EffectiveLimit, Limitation, ResourceStatistics
from paddock.model.task import Evidence, MemoryEvidence

_log = logging.getLogger(__name__)

_EVIDENCE_FIELDS = fields(Evidence)


class Isolation:
    """Everything in here runs on the isolation thread; `conclude` may run elsewhere while nothing else does, if it is brief."""

    def __init__(self, isolators: Sequence[Isolator]) -> None:
        """In the table's order."""
        self.meters = IsolatorMeters()
        self._isolators = tuple(isolators)
        self._waiting_at_barrier = tuple(i for i in isolators if type(i).isolate is not Isolator.isolate)
        self._limiting = tuple(i for i in isolators if type(i).limitation is not Isolator.limitation)
        self._measuring = tuple(i for i in isolators if is_measuring(i))
        self._sourced = tuple(i for i in isolators if type(i).sources is not Isolator.sources)
        self.concludes_briefly = all(_ends_briefly(isolator) for isolator in isolators)
        """`conclude` waits for nothing."""
        self._cleaning = tuple(i for i in reversed(self._isolators) if type(i).cleanup is not Isolator.cleanup)
        self._witnessing = tuple(i for i in isolators if type(i).evidence is not Isolator.evidence)

    def recover(self, live: Sequence[LiveContainer], orphans: Sequence[ContainerId]) -> None:
        """Once, before anything else. Raises what an isolator raises: without it its containers would be out of bounds."""
        for isolator in self._isolators:
            isolator.recover(live, orphans)

    def prepare(self, config: ContainerConfig) -> LaunchPlan:
        """All plans as one. Raises what an isolator raises, or PlanConflict; `cleanup` must follow either way."""
        merger = PlanMerger()
        now_ns = time.monotonic_ns()
        for isolator in self._isolators:
            try:
                plan = isolator.prepare(config)
                now_ns = self.meters.took(isolator.name, "prepare", now_ns)
                merger.add(isolator.name, plan)
            except PlanConflict:
                raise
            except Exception as error:
                self.meters.took(isolator.name, "prepare", now_ns)
                self.meters.failed(isolator.name, "prepare")
                if isinstance(error, PaddockError):
                    raise
                message = f"isolator {isolator.name} failed while planning: {type(error).__name__}: {error}"
                raise ContainerizerError(config.container_id, "prepare", message) from error
        plan = merger.merged
        return replace(plan, needs_barrier=True) if self._waiting_at_barrier else plan

    def count_also(self, container_id: ContainerId, directories: Mapping[str, str]) -> None:
        """Where it writes beside its sandbox."""
        for isolator in self._isolators:
            isolator.count_also(container_id, directories)

    def isolate(self, container_id: ContainerId, pid: int) -> None:
        """The process waits at the barrier."""
        for isolator in self._waiting_at_barrier:
            isolator.isolate(container_id, pid)

    def watches(self, container_id: ContainerId) -> tuple[Watch, ...]:
        """When to ask `limitations`."""
        return tuple(watch for isolator in self._limiting for watch in isolator.watches(container_id))

    def limitations(self, container_id: ContainerId) -> tuple[Limitation, ...]:
        """Every limit that is met now."""
        return tuple(found for i in self._limiting if (found := i.limitation(container_id)) is not None)

    def sources(self, container_ids: Iterable[ContainerId]) -> list[Source]:
        """What `usage` of these will read, as far as it may be read for it."""
        found = (i.sources(container_id) for container_id in container_ids for i in self._sourced)
        return [source for source in found if source is not None]

    def usage(self, container_id: ContainerId) -> ResourceStatistics:
        """All parts; a part that failed is named in `missing`."""
        found = ResourceStatistics()
        is_timed = self.meters.wants_usage()
        for isolator in self._measuring:
            try:
                if is_timed:
                    self.meters.timed(isolator.name, "usage", lambda one=isolator: one.measure(container_id, found))  # type: ignore[misc]
                else:
                    isolator.measure(container_id, found)
            except Exception as error:  # noqa: BLE001 - partial is fine, and the others must be asked
                if not is_timed:
                    self.meters.failed(isolator.name, "usage")
                found.missing += ((isolator.name, str(error)),)
        return found

    def update(self, config: ContainerConfig) -> tuple[CgroupWrite, ...]:
        """All writes that give a running container this config's size, in the table's order. Raises what an isolator raises;
        `put_back` must follow then, and when the writes could not be applied.
        """
        found: list[CgroupWrite] = []
        for isolator in self._isolators:
            found += self.meters.timed(isolator.name, "update", lambda one=isolator: _update(one, config))  # type: ignore[misc]
        return tuple(found)

    def check_update(self, config: ContainerConfig, last: ContainerConfig) -> None:
        """Raises what `update` would. They compare with `last` again in any case."""
        try:
            self.update(config)
        finally:
            self.put_back(last)

    def put_back(self, config: ContainerConfig) -> None:
        """They are to compare with this size again; the kernel's files never left it."""
        for isolator in self._isolators:
            try:
                isolator.update(config.container_id, config.resources, config.limits)
            except Exception:  # noqa: BLE001 - the next one must have its turn
                _log.exception("isolator failed to take a size back", extra=_named(isolator, config.container_id))

    def limits(self, container_id: ContainerId) -> tuple[EffectiveLimit, ...]:
        """What was asked, planned, and is in force."""
        return tuple(limit for isolator in self._isolators for limit in isolator.limits(container_id))

    def conclude(self, container_id: ContainerId, record: ExitRecord | None) -> Evidence:
        """What they saw, by the record's counters; then all of them have cleaned up, whatever each of them said."""
        parts: list[Evidence] = []
        counters = dict(record.counters) if record else {}
        for isolator in self._witnessing:
            try:
                parts.append(isolator.evidence(container_id, counters))
            except Exception:  # noqa: BLE001 - the next one must have its turn
                _log.exception("isolator failed to read counters", extra=_named(isolator, container_id))
        now_ns = time.monotonic_ns()
        for isolator in self._cleaning:
            try:
                isolator.cleanup(container_id)
            except Exception:  # noqa: BLE001 - the next one must have its turn
                self.meters.failed(isolator.name, "cleanup")
                _log.exception("isolator failed to clean up", extra=_named(isolator, container_id))
            now_ns = self.meters.took(isolator.name, "cleanup", now_ns)
        return merge_evidence(parts)


def _ends_briefly(isolator: Isolator) -> bool:
    """By its own word: what another's subclass does besides is not known."""
    return bool(vars(type(isolator)).get("ends_briefly", False))


def _update(isolator: Isolator, config: ContainerConfig) -> tuple[CgroupWrite, ...]:
    return isolator.update(config.container_id, config.resources, config.limits)


def _named(isolator: Isolator, container_id: ContainerId) -> dict[str, str]:
    return {"isolator": isolator.name, "container_id": container_id}


def merge_evidence(parts: Iterable[Evidence]) -> Evidence:
    """All parts as one; where two say something, the later."""
    said = {
        field.name: value
        for part in parts
        for field in _EVIDENCE_FIELDS
        if (value := getattr(part, field.name)) != field.default
    }
    return Evidence(**said)


def measured_evidence(usage: ResourceStatistics) -> Evidence:
    """What a running container's counters say about memory: for an OOM kill that is told at once."""
    if usage.memory_oom_kill_count is None:
        return Evidence()
    memory = MemoryEvidence(
        limit_bytes=usage.memory_limit_bytes,
        peak_bytes=usage.memory_peak_bytes,
        oom_kill_count=usage.memory_oom_kill_count,
        victims=None,
    )
    return Evidence(memory=memory)
