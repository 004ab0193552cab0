"""The suite that every isolator passes, ours and third parties': subclass `IsolatorContract`, name the class, run pytest.

    class TestMyIsolator(IsolatorContract):
        isolator_class = MyIsolator

It needs no root and no cgroups: containers' cgroups do not exist here, as when they have just vanished. pytest and hypothesis
are needed to import this module, and by nothing else in the package.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isolators.contract import (
    CgroupEvent,
    CgroupPlace,
    HostFacts,
    Inotify,
    Interval,
    Isolator,
    IsolatorSettings,
    LiveContainer,
)
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.errors import PaddockError
from paddock.model.ids import AgentId, ContainerId, FrameworkId, TaskId
from paddock.model.launch_plan import LaunchPlan, PlanMerger
from paddock.model.resources import MILLI_LIMIT, Resources
from paddock.model.statistics import Limitation, ResourceStatistics
from paddock.model.task import CommandInfo, ContainerInfo, Evidence, LinuxInfo, ResourceLimits, Rlimit

V1_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids")
CONTAINER_ID = ContainerId("contract-container")
STRANGER = ContainerId("nobody-knows-me")

_AMOUNTS_MILLI = st.integers(0, 10**6) | st.integers(0, MILLI_LIMIT)
_LIMITS = st.none() | st.integers(-2, 2**63 - 1)
_CAPABILITIES = st.none() | st.lists(
    st.sampled_from(["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_NONSENSE"]), unique=True
).map(tuple)


def sample_host(root: Path, cgroup_mode: str) -> HostFacts:
    """A host of that kind whose cgroup directories are not there."""
    names = ("",) if cgroup_mode == "v2" else V1_CONTROLLERS
    return HostFacts(
        agent_id=AgentId("contract"),
        cgroup_mode=cgroup_mode,
        cgroup_roots=tuple((name, str(root / "cgroup" / name / "paddock-contract")) for name in names),
        cpu_count=4,
        memory_bytes=8 * 2**30,
        swap_accounting=True,
    )


def sample_container(sandbox: Path) -> ContainerConfig:
    """An ordinary task: a quarter of a CPU, 64 MiB, a little disk."""
    sandbox.mkdir(parents=True, exist_ok=True)
    return ContainerConfig(
        container_id=CONTAINER_ID,
        agent_id=AgentId("contract"),
        command=CommandInfo(arguments=("/bin/true",)),
        resources=Resources.scalars({"cpus": 250, "mem": 64_000, "disk": 16_000}),
        user=UserIdentity(name="root", uid=0, gid=0, groups=(), home="/root"),
        sandbox=str(sandbox),
        framework_id=FrameworkId("framework"),
        task_id=TaskId("task"),
    )


@st.composite
def containers(draw: st.DrawFn, sandbox: str = "/nonexistent/sandbox") -> ContainerConfig:
    """Ordinary ones, absurd ones, and ones that must be refused."""
    uid = draw(st.sampled_from([0, 1000]))
    resource = st.builds(Rlimit, resource=st.sampled_from(["RLMT_NOFILE", "RLMT_X"]), soft=_LIMITS, hard=_LIMITS)
    linux = st.builds(
        LinuxInfo,
        bounding_capabilities=_CAPABILITIES,
        effective_capabilities=_CAPABILITIES,
        no_new_privileges=st.none() | st.booleans(),
        share_host_pid_namespace=st.booleans(),
    )
    names = st.dictionaries(st.sampled_from(["cpus", "mem", "disk", "gpus"]), _AMOUNTS_MILLI)
    return ContainerConfig(
        container_id=CONTAINER_ID,
        agent_id=AgentId("contract"),
        command=CommandInfo(shell=True, value="true"),
        resources=Resources.scalars(draw(names)),
        limits=draw(limits()),
        user=UserIdentity(name=f"user{uid}", uid=uid, gid=uid, groups=(), home="/"),
        sandbox=sandbox,
        container=ContainerInfo(rlimits=draw(st.lists(resource, max_size=3).map(tuple)), linux=draw(linux)),
    )


def limits() -> st.SearchStrategy[ResourceLimits]:
    """Absent, none (-1), sensible and absurd ones."""
    return st.builds(ResourceLimits, cpus_milli=_LIMITS, memory_bytes=_LIMITS, swap_bytes=_LIMITS, pids_count=_LIMITS)


class IsolatorContract:
    """What the agent relies on. `make` may be overridden for a class with more arguments."""

    isolator_class: ClassVar[type[Isolator]]
    isolator_settings: ClassVar[IsolatorSettings] = IsolatorSettings()

    def make(self, host: HostFacts) -> Isolator:
        """A new one, as the agent makes it."""
        return self.isolator_class(host, self.isolator_settings)

    @pytest.fixture(params=["v1", "v2"])
    def host(self, request: pytest.FixtureRequest, tmp_path: Path) -> HostFacts:
        """Every test runs for both cgroup versions."""
        return sample_host(tmp_path, str(request.param))

    @pytest.fixture
    def container(self, tmp_path: Path) -> ContainerConfig:
        """Override it for an isolator that needs a special container to do anything."""
        return sample_container(tmp_path / "sandbox")

    def test_its_name_is_a_word_of_the_flag(self) -> None:
        """`group/name`, as in --isolation."""
        assert re.fullmatch(r"[a-z][a-z0-9_]*/[a-z][a-z0-9_]*", self.isolator_class.name)

    def test_an_unknown_container_is_no_error(self, host: HostFacts) -> None:
        """Isolators come and go between an agent's starts, and containers end at any moment."""
        isolator = self.make(host)
        assert isolator.update(STRANGER, Resources(), ResourceLimits()) == ()
        assert isolator.limitation(STRANGER) is None
        assert isolator.limits(STRANGER) == ()
        assert tuple(isolator.watches(STRANGER)) == ()
        assert isolator.evidence(STRANGER, {}) == Evidence()
        usage = isolator.usage(STRANGER)
        assert usage == ResourceStatistics(missing=usage.missing)
        isolator.cleanup(STRANGER)
        isolator.cleanup(STRANGER)

    def test_preparing_is_deterministic(self, host: HostFacts, container: ContainerConfig) -> None:
        """Equal questions, equal plans: a launch can be repeated and explained."""
        isolator = self.make(host)
        plan = isolator.prepare(container)
        assert plan == isolator.prepare(container)
        assert plan == self.make(host).prepare(container)
        isolator.cleanup(container.container_id)

    def test_preparing_changes_nothing_outside(
        self, host: HostFacts, container: ContainerConfig, tmp_path: Path
    ) -> None:
        """What is wanted is in the plan; the shim does it."""
        before = sorted(tmp_path.rglob("*"))
        self.make(host).prepare(container)
        assert sorted(tmp_path.rglob("*")) == before

    def test_the_plan_can_be_carried_out(self, host: HostFacts, container: ContainerConfig) -> None:
        """Controllers are asked for before they are used; file names and values are one file's, one line's."""
        plan = self.make(host).prepare(container)
        known = {name for name, _ in host.cgroup_roots} if host.cgroup_mode == "v1" else set(plan.controllers)
        assert set(plan.controllers) <= known
        self.check_plan(plan)

    def check_plan(self, plan: LaunchPlan) -> None:
        """Form, not content."""
        files = [(write.controller, write.file) for write in plan.writes]
        files += [(read.controller, read.file) for read in (*plan.final_reads, *filter(None, [plan.oom_events]))]
        for controller, file in files:
            assert controller in plan.controllers
            assert re.fullmatch(r"[a-z0-9_.]+", file)
        for write in plan.writes:
            assert write.value
            assert write.value.isprintable()
            assert write.resource
        assert set(plan.namespaces) <= {"pid", "mnt", "ipc"}
        assert not plan.mounts or "mnt" in plan.namespaces
        for name, value in plan.environment:
            assert name
            assert "=" not in name
            assert "\0" not in name + value
        merger = PlanMerger()
        merger.add(self.isolator_class.name, plan)
        merger.add(self.isolator_class.name, plan)
        assert merger.merged == plan

    def test_updating_twice_is_updating_once(self, host: HostFacts, container: ContainerConfig) -> None:
        """The agent repeats an update whose answer was lost."""
        isolator = self.make(host)
        isolator.prepare(container)
        resources = Resources.scalars({"cpus": 500, "mem": 128_000, "disk": 32_000})
        writes = isolator.update(container.container_id, resources, ResourceLimits())
        assert writes == isolator.update(container.container_id, resources, ResourceLimits())
        isolator.cleanup(container.container_id)

    def test_a_vanished_container_can_be_asked_anything(self, host: HostFacts, container: ContainerConfig) -> None:
        """Its cgroup goes when it ends, before the agent hears of it. What is missing is said, not guessed."""
        isolator = self.make(host)
        isolator.prepare(container)
        usage = isolator.usage(container.container_id)
        assert isinstance(usage, ResourceStatistics)
        assert all(name == self.isolator_class.name and why for name, why in usage.missing)
        others = ResourceStatistics(timestamp_ns=1, missing=(("another/one", "it has its own reasons"),))
        isolator.measure(container.container_id, others)
        assert others.missing[0][0] == "another/one"
        assert others.missing[1:] == usage.missing
        assert others.timestamp_ns >= 1
        for limit in isolator.limits(container.container_id):
            assert limit.isolator == self.isolator_class.name
            assert limit.in_force is not None or limit.remark
        assert all(
            isinstance(watch, Inotify | CgroupEvent | Interval) for watch in isolator.watches(container.container_id)
        )
        found = isolator.limitation(container.container_id)
        assert found is None or isinstance(found, Limitation)
        isolator.cleanup(container.container_id)

    def test_cleaning_up_forgets(self, host: HostFacts, container: ContainerConfig) -> None:
        """Afterwards it is a container that was never there; cleaning up again is no error."""
        isolator = self.make(host)
        isolator.prepare(container)
        for _ in range(2):
            isolator.cleanup(container.container_id)
            assert isolator.limits(container.container_id) == ()
            assert tuple(isolator.watches(container.container_id)) == ()
            assert isolator.limitation(container.container_id) is None

    def test_recovery_takes_the_living_and_the_orphans(self, host: HostFacts, container: ContainerConfig) -> None:
        """A container that lives on is held like one just prepared, whatever hierarchies it was started in."""
        isolator = self.make(host)
        place = host.place(container.container_id)
        without = LiveContainer(
            config=container, cgroup=CgroupPlace(mode=host.cgroup_mode, directories=()), pid=2**22 - 1
        )
        for live in (LiveContainer(config=container, cgroup=place, pid=2**22 - 1), without):
            isolator.recover([live], [STRANGER])
            isolator.usage(container.container_id)
            isolator.limits(container.container_id)
            isolator.watches(container.container_id)
            isolator.limitation(container.container_id)
            isolator.cleanup(STRANGER)
            isolator.cleanup(container.container_id)
        assert isolator.limits(container.container_id) == ()

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(config=containers(), changed=limits())
    def test_any_container_gets_a_plan_or_a_reason(
        self, host: HostFacts, config: ContainerConfig, changed: ResourceLimits
    ) -> None:
        """A refusal is one of Paddock's errors; cleaning up follows either way, and leaves the isolator as it was."""
        isolator = self.make(host)
        with contextlib.suppress(PaddockError):
            self.check_plan(isolator.prepare(config))
            isolator.update(config.container_id, config.resources, changed)
        isolator.cleanup(config.container_id)
        assert isolator.limits(config.container_id) == ()
        isolator.prepare(sample_container(Path("/")))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(text=st.text(max_size=60) | st.sampled_from(["", "max\n", "-1", "oom_kill x", "oom_kill 3\n", "9" * 40]))
    def test_garbage_counters_are_no_error(self, host: HostFacts, container: ContainerConfig, text: str) -> None:
        """An exit record may be of another kernel, cut off, or by another version."""
        isolator = self.make(host)
        plan = isolator.prepare(container)
        counters = {f"{read.controller}/{read.file}": text for read in plan.final_reads}
        assert isinstance(isolator.evidence(container.container_id, counters), Evidence)
        isolator.cleanup(container.container_id)
