"""What the three cgroup isolators have in common: who holds which cgroup, what was planned there, and what is in force."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from cgroupspy.controllers import CpuController, MemoryController
from cgroupspy.nodes import Node

from isolators.contract import CgroupPlace, HostFacts, Isolator, IsolatorSettings, LiveContainer
from isolators.counters import CounterFiles, DescriptorBudget
from paddock.model.container import ContainerConfig
from paddock.model.errors import ConfigError, InvalidRequest
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import CgroupRead, CgroupWrite, LaunchPlan
from paddock.model.resources import Resources
from paddock.model.statistics import EffectiveLimit, ResourceStatistics
from paddock.model.task import ResourceLimits

PLANS_KEPT_COUNT = 64
_CGROUPSPY = {"cpu": CpuController, "memory": MemoryController}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A container's cgroup, what was asked for it last, and the files of its statistics."""

    place: CgroupPlace
    writes: tuple[CgroupWrite, ...]
    files: CounterFiles


class CgroupIsolator(Isolator):
    """An isolator whose means are files of a cgroup."""

    v1_controllers: ClassVar[tuple[str, ...]]
    v2_controller: ClassVar[str]

    def __init__(self, host: HostFacts, settings: IsolatorSettings) -> None:
        """Raises ConfigError where a controller is not mounted."""
        super().__init__(host, settings)
        self._held: dict[ContainerId, Held] = {}
        self._plans: dict[tuple[int, int], tuple[Resources, ResourceLimits, LaunchPlan]] = {}
        self._absent: set[str] = set()
        self._budget = DescriptorBudget.for_statistics(len(self.usage_reads()))
        mounted = {controller for controller, _ in host.cgroup_roots}
        absent = [name for name in self.v1_controllers if name not in mounted] if host.cgroup_mode == "v1" else []
        if absent:
            needs = f"--isolation: {self.name} needs the cgroup controller {' and '.join(absent)}"
            raise ConfigError((f"{needs}, which is not mounted here: mount it, or leave {self.name} out",))

    @property
    def is_v2(self) -> bool:
        """Which column of the tables is meant."""
        return self.host.cgroup_mode == "v2"

    @property
    def controllers(self) -> tuple[str, ...]:
        """What the plan asks for."""
        return (self.v2_controller,) if self.is_v2 else self.v1_controllers

    @abstractmethod
    def launch_writes(self, resources: Resources, limits: ResourceLimits) -> tuple[CgroupWrite, ...]:
        """For a cgroup that was just made. Raises InvalidRequest."""

    @abstractmethod
    def resize_writes(
        self, container_id: ContainerId, place: CgroupPlace, resources: Resources, limits: ResourceLimits
    ) -> tuple[CgroupWrite, ...]:
        """For a cgroup with limits in force: every file that could have a value, in the order that the kernel needs."""

    @abstractmethod
    def final_reads(self) -> tuple[CgroupRead, ...]:
        """The counters that the exit record must have."""

    @abstractmethod
    def usage_reads(self) -> tuple[CgroupRead, ...]:
        """The files of live statistics."""

    @staticmethod
    @abstractmethod
    def fill(found: ResourceStatistics, counters: Mapping[str, bytes]) -> None:
        """Write what the counters say into it; None where they do not say it, a limit also where there is none."""

    def sources(self, container_id: ContainerId) -> CounterFiles | None:
        """What `measure` reads."""
        held = self._held.get(container_id)
        return held.files if held else None

    def measure(self, container_id: ContainerId, found: ResourceStatistics) -> None:
        """One read for each of the files of `usage_reads`."""
        held = self._held.get(container_id)
        if held is None:
            found.missing += ((self.name, "this container is not known here"),)
            return
        counters, problem = held.files.read()
        if problem:
            found.missing += ((self.name, problem),)
        if counters:
            found.timestamp_ns = time.time_ns()
            self.fill(found, counters)

    def recover(self, live: Sequence[LiveContainer], orphans: Sequence[ContainerId]) -> None:
        """Cgroups outlive the agent: what is planned comes from the checkpoint, what is in force from the kernel."""
        del orphans  # nothing of ours outside the plan to undo
        for container in live:
            config = container.config
            try:
                writes = self.launch_writes(config.resources, config.limits)
            except InvalidRequest:
                writes = ()  # accepted once under other settings: it runs on, and is still measured and cleaned up
            self._hold(config.container_id, container.cgroup, writes)

    def prepare(self, container: ContainerConfig) -> LaunchPlan:
        """Files and values; the shim makes the cgroup and writes them."""
        plan = self._planned(container.resources, container.limits)
        self._hold(container.container_id, self.host.place(container.container_id), plan.writes)
        return plan

    def launch_plan(self, resources: Resources, limits: ResourceLimits) -> LaunchPlan:
        """For each container of this size. Raises InvalidRequest."""
        writes = self.launch_writes(resources, limits)
        return LaunchPlan(controllers=self.controllers, writes=writes, final_reads=self.final_reads())

    def _planned(self, resources: Resources, limits: ResourceLimits) -> LaunchPlan:
        """Like containers have one and the same size, as an object too: what came over the wire is remembered there."""
        key = (id(resources), id(limits))
        known = self._plans.get(key)
        if known is None:
            if len(self._plans) >= PLANS_KEPT_COUNT:
                self._plans.clear()
            # With the two, so that nothing else can come to have their numbers.
            known = self._plans[key] = (resources, limits, self.launch_plan(resources, limits))
        return known[2]

    def _hold(self, container_id: ContainerId, place: CgroupPlace, writes: tuple[CgroupWrite, ...]) -> None:
        self._forget(container_id)
        files = CounterFiles(place, self.usage_reads(), self._budget, self._absent)
        self._held[container_id] = Held(place=place, writes=writes, files=files)

    def update(
        self, container_id: ContainerId, resources: Resources, limits: ResourceLimits
    ) -> tuple[CgroupWrite, ...]:
        """The same values written again are no change; nothing for a container that this isolator does not hold. What is shown
        afterwards is as for a launch with this size: a limit that went away is none.
        """
        held = self._held.get(container_id)
        if held is None:
            return ()
        writes = self.resize_writes(container_id, held.place, resources, limits)
        self._held[container_id] = replace(held, writes=self.launch_writes(resources, limits))
        return writes

    def place_of(self, container_id: ContainerId) -> CgroupPlace | None:
        """Where its cgroups are; None for one that this isolator does not hold."""
        held = self._held.get(container_id)
        return held.place if held else None

    def limits(self, container_id: ContainerId) -> tuple[EffectiveLimit, ...]:
        """Each planned write beside what the kernel says now."""
        held = self._held.get(container_id)
        return tuple(self._effective(held.place, write) for write in held.writes) if held else ()

    def _effective(self, place: CgroupPlace, write: CgroupWrite) -> EffectiveLimit:
        directory = place.directory(write.controller)
        in_force, remark = None, f"there is no {write.controller} cgroup for it"
        if directory is not None:
            in_force, remark = read_limit(place.mode, directory, write)
        return EffectiveLimit(
            resource=write.resource,
            asked=write.asked,
            isolator=self.name,
            path=f"{directory or ''}/{write.file}",
            planned=write.value,
            in_force=in_force,
            remark=remark,
        )

    def cleanup(self, container_id: ContainerId) -> None:
        """The shim removes the cgroup; here it is only forgotten."""
        self._forget(container_id)

    def _forget(self, container_id: ContainerId) -> None:
        held = self._held.pop(container_id, None)
        if held is not None:
            held.files.close()


def read_limit(mode: str, directory: str, write: CgroupWrite) -> tuple[str | None, str]:
    """The value in force and a remark. v1's cpu and memory files are read by cgroupspy: another's eyes than those that wrote.

    Its Tree is never built: 150 ms for 300 cgroups.
    """
    try:
        if mode == "v1" and write.controller in _CGROUPSPY:
            text = str(_CGROUPSPY[write.controller](Node(directory)).get_property(write.file.encode()))
        else:
            text = _read_text(f"{directory}/{write.file}")
    except OSError as error:
        return None, f"read: {error.strerror}"
    if write.value in {"-1", "max"} and text != write.value and len(text) >= 19:
        return text, "no limit"
    return text, "" if text == write.value else "differs from what was planned"


def _read_text(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096).decode("ascii", "replace").strip()
    finally:
        os.close(fd)
