"""Any history of events, lies included: the agent's promises hold after each, and a restart at any moment changes nothing."""

from dataclasses import replace
from typing import cast

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agentd.core import effects, events, recovery
from agentd.core.durable import DurableEntry, TaskAccepted
from agentd.core.exit_record import KillOutcome
from agentd.core.machine import Machine
from paddock.daemon.durable_codec import from_bytes, to_bytes
from paddock.model.container import ContainerState
from paddock.model.errors import InvalidRequest, InvalidTransition
from paddock.model.health import Check, HealthCheck, HealthEvidence, TcpCheck
from paddock.model.ids import ContainerId, FrameworkId, TaskId
from paddock.model.resources import Resources, excess
from paddock.model.statistics import Limitation
from paddock.model.task import Evidence, KillPolicy, LaunchFailure, Reason, ResourceLimits
from paddock.model.uri import CommandUri
from tests.unit.agentd.core import made

CONTAINERS = strategies.sampled_from([f"c{n}" for n in range(5)])
TASKS = strategies.sampled_from([f"t{n}" for n in range(3)])
FAILURE = LaunchFailure(stage="exec", message="no")
CHECK = HealthCheck(tcp=TcpCheck(port=1), grace_ms=0, failure_count=2)


class Histories(RuleBasedStateMachine):
    """Every event for every container and task at any moment, and crashes in between."""

    def __init__(self) -> None:
        super().__init__()
        self.uuids = made.Uuids()
        self.machine = Machine(made.state(), new_uuid=self.uuids)
        self.log: list[DurableEntry] = []
        self.now_ns = 0
        self.terminal: dict[tuple[str, str], set[bytes]] = {}
        self.launched_count = 0

    def tell(self, event: events.Event) -> None:
        self.now_ns += 1
        try:
            found = self.machine.handle(event, now_ns=self.now_ns, wall_ns=self.now_ns)
        except InvalidTransition:
            return
        for effect in found:
            match effect:
                case effects.Checkpoint():
                    self.log.append(effect.entry)
                    if isinstance(effect.entry, TaskAccepted):
                        # An id may be used again once its earlier task is acknowledged to the end.
                        self.terminal.pop((effect.entry.framework.framework_id, effect.entry.task.task_id), None)
                case effects.SendStatus() if effect.status.uuid:
                    self.sent(effect)
                case effects.Fetch():
                    entry = self.machine.state.containers[effect.config.container_id]
                    assert entry.state is ContainerState.FETCHING
                    assert not entry.launched
                case effects.Launch():
                    assert self.machine.state.containers[effect.container_id].launched
                case _:
                    pass

    def sent(self, sent: effects.SendStatus) -> None:
        assert self.machine.state.connected
        key = (sent.framework_id, sent.status.task_id)
        task = self.machine.state.tasks[key]
        assert task.stream.head == sent.status
        if sent.status.state.is_terminal:
            uuids = self.terminal.setdefault(key, set())
            uuids.add(sent.status.uuid)
            assert len(uuids) == 1

    @rule(reachable=strategies.booleans())
    def engine_changed(self, reachable: bool) -> None:
        self.tell(events.EngineChanged(reachable=reachable, words="docker engine"))

    @rule(container_id=CONTAINERS, wants_file=strategies.booleans(), is_checked=strategies.booleans())
    def launch(self, container_id: str, wants_file: bool, is_checked: bool) -> None:
        config = made.config(container_id, uris=(CommandUri(value="/srv/x"),) if wants_file else ())
        config = replace(config, health_check=CHECK if is_checked else None)
        self.tell(events.LaunchStandalone(request_id=self.now_ns + 1, config=config))

    @rule(task_id=TASKS, names_user=strategies.booleans())
    def launch_task(self, task_id: str, names_user: bool) -> None:
        self.launched_count += 1
        config = None
        if names_user:
            config = made.config(f"x{self.launched_count}", task_id=task_id)
            config = replace(config, health_check=CHECK, check=Check(command="true"))
        launch = events.TaskLaunch(task=made.task(task_id), config=config, problem=None if names_user else FAILURE)
        self.tell(events.LaunchTasks(framework=made.FRAMEWORK, launches=(launch,)))

    def any_container(self, data: strategies.DataObject) -> ContainerId:
        known = [*self.machine.state.containers, ContainerId("nobody")]
        return data.draw(strategies.sampled_from(known))

    @rule(data=strategies.data())
    def something_happens(self, data: strategies.DataObject) -> None:
        c = self.any_container(data)
        record = made.record(c, wait_status=data.draw(strategies.sampled_from([0, 9, 15, 256, None])))
        killed = made.record(c, wait_status=15, kill=KillOutcome(signal=15, grace_ms=1, escalated=False, took_ms=1))
        limitation = Limitation(
            container_id=c,
            isolator="x",
            reason=Reason.CONTAINER_LIMITATION,
            message="m",
            fatal=data.draw(strategies.booleans()),
        )
        happenings: tuple[events.Event, ...] = (
            events.Prepared(container_id=c),
            events.PrepareRefused(container_id=c, failure=FAILURE, error=InvalidRequest("f", 1, "r")),
            events.Started(container_id=c, pid=7, shim_pid=6, started_ns=1, cgroup_paths=()),
            events.LaunchFailed(container_id=c, failure=FAILURE),
            events.Ended(container_id=c, record=record),
            events.Ended(container_id=c, record=killed),
            events.Concluded(container_id=c, evidence=Evidence()),
            events.Held(container_id=c, what="EBUSY"),
            events.HoldersFound(container_id=c, what="process 7"),
            events.Limited(limitation=limitation, evidence=Evidence()),
            events.KillContainer(request_id=1, container_id=c, policy=KillPolicy(), by="somebody"),
            events.HealthChecked(container_id=c, evidence=HealthEvidence(passed=True, message="m")),
            events.HealthChecked(container_id=c, evidence=HealthEvidence(passed=False, message="m")),
            *(
                events.CheckMade(container_id=c, evidence=HealthEvidence(passed=not code, message="m", exit_code=code))
                for code in (0, 1, None)
            ),
            events.Resized(container_id=c),
            events.Resized(container_id=c, error=InvalidRequest("f", 1, "r")),
            *(
                events.ResizeContainer(
                    request_id=2, container_id=c, resources=size, limits=ResourceLimits(pids_count=9), by="somebody"
                )
                for size in (
                    Resources.scalars({"cpus": data.draw(strategies.integers(0, 5000))}),
                    Resources.scalars({"mem": 500_000, "disk": data.draw(strategies.integers(0, 1))}),
                )
            ),
            events.Fetched(container_id=c),
            events.Fetched(container_id=c, failure=FAILURE),
        )
        self.tell(data.draw(strategies.sampled_from(happenings)))

    @rule(task_id=TASKS, which=strategies.integers(0, 6), right=strategies.booleans())
    def the_master_speaks(self, task_id: str, which: int, right: bool) -> None:
        f, t = made.FRAMEWORK.framework_id, TaskId(task_id)
        task = self.machine.state.tasks.get((f, t))
        head = task.stream.head if task else None
        self.tell(
            (
                events.AcknowledgeStatus(framework_id=f, task_id=t, uuid=head.uuid if head and right else b"?" * 16),
                events.KillTask(framework_id=f, task_id=t, policy=None),
                events.ReconcileTask(framework_id=f, task_id=t),
                events.RemoveFramework(framework_id=f if right else FrameworkId("other")),
                events.MasterConnected(),
                events.MasterDisconnected(),
                events.ResizeTask(
                    framework_id=f,
                    task_id=t,
                    resources=Resources.scalars({"cpus": 1500 if right else 500, "mem": 1_000_000}),
                    by="the framework",
                ),
            )[which]
        )

    @rule(seconds=strategies.sampled_from([0, 1, 11, 100, 10_000]))
    def time_passes(self, seconds: int) -> None:
        self.now_ns += seconds * 10**9
        self.tell(events.TimePassed())

    @rule()
    def the_agent_crashes(self) -> None:
        before = self.machine.state
        state = made.state()
        recovery.restore(state, self.log)
        self.machine = Machine(state, new_uuid=self.uuids)
        assert state.containers.keys() == before.containers.keys()
        assert state.tasks.keys() == before.tasks.keys()
        for key, task in state.tasks.items():
            assert task.state is before.tasks[key].state
            assert task.stream.pending == before.tasks[key].stream.pending
            assert task.statuses[-1:] == before.tasks[key].statuses[-1:]
        for container_id, container in state.containers.items():
            assert container.is_ended == before.containers[container_id].is_ended
            assert container.termination == before.containers[container_id].termination
            assert container.config == before.containers[container_id].config
            assert container.resizing == before.containers[container_id].resizing
            assert container.counted == before.containers[container_id].counted
            if not container.config.task_id:
                assert container.health_told == before.containers[container_id].health_told

    @rule()
    def the_log_is_compacted(self) -> None:
        entries = recovery.snapshot(self.machine.state)
        self.log = [cast("DurableEntry", from_bytes(to_bytes(e, DurableEntry), DurableEntry)) for e in entries]
        assert tuple(self.log) == entries

    @invariant()
    def nothing_is_lost_or_used_twice(self) -> None:
        state = self.machine.state
        held = Resources.of(r for entry in state.live() for r in entry.counted)
        assert state.free + held == made.TOTAL

    @invariant()
    def the_master_is_told_what_standalone_containers_hold(self) -> None:
        state = self.machine.state
        standing = [entry for entry in state.live() if not entry.config.framework_id]
        held = sum((entry.config.resources for entry in standing), Resources())
        growing = (excess(e.resizing.resources, e.config.resources) for e in standing if e.resizing)
        assert state.standalone == held + sum(growing, Resources())

    @invariant()
    def only_what_runs_is_checked(self) -> None:
        for entry in self.machine.state.containers.values():
            is_checked = entry.health is not None or entry.is_checked
            assert not is_checked or entry.state in {ContainerState.RUNNING, ContainerState.STUCK}

    @invariant()
    def the_ended_are_those_that_ended(self) -> None:
        state = self.machine.state
        assert {c for c, e in state.containers.items() if e.state is ContainerState.TERMINATED} == set(state.ended)
        for container_id in state.ended:
            assert state.containers[container_id].termination is not None

    @invariant()
    def a_terminal_task_has_a_last_word_that_waits(self) -> None:
        for task in self.machine.state.tasks.values():
            if task.state.is_terminal:
                assert task.stream.pending
                assert task.stream.pending[-1].state is task.state
            assert len({status.uuid for status in task.stream.pending}) == len(task.stream.pending)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
