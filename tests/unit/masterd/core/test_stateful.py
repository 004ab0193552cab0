"""Agents and frameworks come, go, lie and repeat themselves; after each step every invariant of the master holds."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from masterd.allocator.quota import NO_QUOTA, Quota
from masterd.core.configuration_events import WhitelistChanged
from masterd.core.effects import (
    Save,
    TellPing,
)
from masterd.core.events import (
    Accept,
    Acknowledge,
    AgentActivated,
    AgentAnswered,
    AgentMarkedGone,
    CancelDrain,
    Decline,
    DrainAgent,
    Kill,
    LaunchRefused,
    MaintenanceUpdated,
    OperatorKill,
    OperatorResize,
    OperatorTeardown,
    QuotasChanged,
    Reconcile,
    RegisteredTask,
    Resize,
    ResourcesChanged,
    Revive,
    StandaloneChanged,
    Suppress,
    TaskResized,
    Teardown,
    WeightsChanged,
)
from masterd.core.state import Settings
from paddock.model.errors import PaddockError
from paddock.model.ids import AgentId, ContainerId, FrameworkId, OfferId, TaskId
from paddock.model.offer import Filters, Launch, Reserve, Unavailability, Unreserve
from paddock.model.resource_text import parse_resources
from paddock.model.resources import Reservation, Resource, Resources, Scalar
from paddock.model.task import Reason, ResourceLimits, TaskState
from tests.unit.masterd.core.world import ROOT, Subscription, World, call, remembered_of, task_info

AGENTS = ("a1", "a2", "a3")
# Soon forgotten, so that what is forgotten comes back too.
SETTINGS = Settings(unreachable_limit_count=1, unreachable_age_limit_ms=60_000)
WHOLES = ("cpus:4;mem:1024;ports:[31000-31009]", "cpus:2;mem:512;cpus(r):1", "cpus:1;mem:64")
TASKS = ("t1", "t2", "t3", "t4")
ROLES = ("*", "r", "r/s")
PIECES = ("cpus:1;mem:64", "cpus:0.001;mem:1", "cpus:64;mem:1", "ports:[31000-31001]", "cpus(r):1", "")

agents = st.sampled_from(AGENTS)
sizes = st.sampled_from(
    ("cpus:1;mem:64", "cpus:2", "cpus:0.5;mem:32", "cpus:4;mem:64", "cpus:64", "gpus:1", "ports:[1-2]")
)
tasks = st.sampled_from(TASKS)
states = st.sampled_from(list(TaskState))
uuids = st.sampled_from((b"", b"1" * 16, b"2" * 16))
refusals = st.sampled_from((0, 1_000, 60_000))


class MasterMachine(RuleBasedStateMachine):
    """`World.do` checks the invariants after every event; here the events are made up."""

    allowed: set[str] | None = None

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.world = World(seed=seed, settings=SETTINGS)
        self.agent_streams: dict[str, list[int]] = {name: [] for name in AGENTS}
        self.frameworks: list[Subscription] = []
        self.saved: list[Save] = []
        self.epoch = 1
        self.agent_streams["a1"].append(self.world.agent("a1", WHOLES[0]))
        self.frameworks.append(self.world.framework("r", failover_s=30))

    def attempt(self, event: object) -> None:
        """What the core refuses changed nothing: `do` looks at the invariants then too."""
        before = self.summary()
        try:
            self.world.do(event)  # type: ignore[arg-type]
        except PaddockError:
            assert self.summary() == before
        self.world.cycle()

    def summary(self) -> tuple[object, ...]:
        state = self.world.state
        return (
            {
                name: (agent.state, sorted(agent.tasks), sorted(agent.offers), agent.info.resources)
                for name, agent in state.agents.items()
            },
            {name: (each.state, each.stream, sorted(each.tasks)) for name, each in state.frameworks.items()},
            sorted(state.offers),
            sorted(state.refused_framework_ids),
        )

    # --- agents ---

    @rule(
        name=agents,
        whole=st.sampled_from(WHOLES),
        brings=st.lists(st.tuples(tasks, states), max_size=3),
        alone=st.booleans(),
        tries=st.booleans(),
    )
    def agent_registers(
        self, name: str, whole: str, brings: list[tuple[str, TaskState]], alone: bool, tries: bool
    ) -> None:
        framework_id = self.frameworks[0][0] if self.frameworks else FrameworkId("elsewhere")
        known = self.world.state.agents.get(AgentId(name))
        reported = [
            RegisteredTask(
                framework_id=FrameworkId(framework_id),
                task=task_info(task, name),
                state=state,
                container_id=ContainerId("c"),
            )
            for task, state in dict(brings).items()
        ]
        if known is not None:
            reported += [
                RegisteredTask(
                    framework_id=key[0],
                    task=entry.info,
                    state=TaskState.RUNNING,
                    container_id=ContainerId("c"),
                    resizing=entry.resizing.resources if entry.resizing is not None and tries else Resources(),
                )
                for key, entry in known.tasks.items()
                if key not in {(each.framework_id, each.task.task_id) for each in reported} and not alone
            ]
        before = self.summary()
        try:
            stream = self.world.agent(name, whole, tasks=tuple(reported))
        except PaddockError:
            assert self.summary() == before
            return
        self.agent_streams[name].append(stream)

    @rule(name=agents, newest=st.booleans())
    def agent_leaves(self, name: str, newest: bool) -> None:
        streams = self.agent_streams[name]
        if streams:
            self.world.lose_agent(streams[-1] if newest else streams[0])

    def stream(self, name: str, newest: bool) -> int:
        streams = self.agent_streams[name]
        return (streams[-1] if newest else streams[0]) if streams else 10**9

    @rule(
        name=agents, newest=st.booleans(), task=tasks, state=states, latest=states, uuid=uuids, which=st.integers(0, 3)
    )
    def agent_reports(
        self, name: str, newest: bool, task: str, state: TaskState, latest: TaskState, uuid: bytes, which: int
    ) -> None:
        framework = self.frameworks[which % len(self.frameworks)] if self.frameworks else (FrameworkId("x"), "", 0)
        self.world.report(self.stream(name, newest), framework, task, state, uuid=uuid, latest=latest)

    @rule(name=agents, which=st.integers(0, 3), task=tasks, has=sizes, error=st.sampled_from(("", "EBUSY")))
    def agent_tells_a_size(self, name: str, which: int, task: str, has: str, error: str) -> None:
        framework = self.frameworks[which % len(self.frameworks)] if self.frameworks else (FrameworkId("x"), "", 0)
        self.attempt(
            TaskResized(
                stream=self.stream(name, newest=True),
                framework_id=framework[0],
                task_id=TaskId(task),
                resources=parse_resources(has),
                limits=ResourceLimits(),
                error=error,
            )
        )

    @precondition(lambda self: self.frameworks)
    @rule(which=st.integers(0, 5), task=tasks, wanted=sizes, operator=st.booleans())
    def somebody_resizes(self, which: int, task: str, wanted: str, operator: bool) -> None:
        framework, resources = self.subscription(which), parse_resources(wanted)
        if operator:
            self.attempt(
                OperatorResize(caller=ROOT, framework_id=framework[0], task_id=TaskId(task), resources=resources)
            )
        else:
            self.attempt(Resize(**call(framework), task_id=TaskId(task), resources=resources))

    @rule(name=agents, lie=st.booleans())
    def agent_answers(self, name: str, lie: bool) -> None:
        stream = self.stream(name, newest=True)
        pings = self.world.heard(stream, TellPing)
        self.world.do(AgentAnswered(stream=stream, sequence=10**6 if lie or not pings else pings[-1].sequence))

    @rule(name=agents, amount=st.sampled_from(("", "cpus:1;mem:10", "cpus:3.5;mem:1000", "cpus:99")))
    def agent_runs_standalone(self, name: str, amount: str) -> None:
        self.attempt(StandaloneChanged(stream=self.stream(name, newest=True), resources=parse_resources(amount)))

    @precondition(lambda self: self.frameworks)
    @rule(name=agents, refused=st.lists(tasks, max_size=2))
    def agent_refuses(self, name: str, refused: list[str]) -> None:
        self.attempt(
            LaunchRefused(
                stream=self.stream(name, newest=True),
                framework_id=self.frameworks[-1][0],
                task_ids=tuple(TaskId(task) for task in refused),
                reason=Reason.AGENT_PROBLEM,
                message="full",
            )
        )

    # --- frameworks ---

    @rule(roles=st.sets(st.sampled_from(ROLES), min_size=1), failover_s=st.sampled_from((0, 30)), aware=st.booleans())
    def framework_subscribes(self, roles: set[str], failover_s: int, aware: bool) -> None:
        if len(self.frameworks) < 6:
            self.frameworks.append(self.world.framework(*sorted(roles), failover_s=failover_s, aware=aware))

    @precondition(lambda self: self.frameworks)
    @rule(which=st.integers(0, 5), roles=st.sets(st.sampled_from(ROLES), min_size=1))
    def framework_subscribes_again(self, which: int, roles: set[str]) -> None:
        old = self.frameworks[which % len(self.frameworks)]
        before = self.summary()
        try:
            again = self.world.framework(*sorted(roles), framework_id=old[0], failover_s=30)
        except PaddockError:
            assert self.summary() == before
            return
        self.frameworks.append(again)

    def subscription(self, which: int) -> Subscription:
        return self.frameworks[which % len(self.frameworks)]

    @precondition(lambda self: self.frameworks)
    @rule(which=st.integers(0, 5), was_told=st.booleans())
    def framework_leaves(self, which: int, *, was_told: bool) -> None:
        self.world.lose_framework(self.subscription(which)[2], was_told=was_told)

    @precondition(lambda self: self.frameworks)
    @rule(
        which=st.integers(0, 5),
        whose=st.integers(0, 5),
        named=st.lists(st.tuples(tasks, st.sampled_from(PIECES), agents), max_size=3),
        refuse_ms=refusals,
        several=st.booleans(),
    )
    def framework_accepts(
        self, which: int, whose: int, named: list[tuple[str, str, str]], refuse_ms: int, several: bool
    ) -> None:
        framework = self.subscription(which)
        holder = self.world.state.frameworks.get(self.subscription(whose)[0])
        offers = list(holder.offers) if holder else []
        offer_ids = (offers if several else offers[:1]) or [OfferId("gone")]
        entry = self.world.state.offers.get(offer_ids[0])
        wanted = tuple(
            task_info(task, entry.offer.agent_id if entry and piece != "cpus(r):1" else agent, piece)
            for task, piece, agent in named
        )
        operations = (Launch(tasks=wanted),) if wanted else ()
        filters = Filters(refuse_ms=refuse_ms)
        self.attempt(Accept(**call(framework), offer_ids=tuple(offer_ids), operations=operations, filters=filters))

    @rule(task=tasks, piece=st.sampled_from(PIECES[:2]), refuse_ms=refusals, pick=st.integers(0, 9))
    def framework_launches(self, task: str, piece: str, refuse_ms: int, pick: int) -> None:
        """As an honest one does."""
        state = self.world.state
        held = [offer_id for offer_id, entry in state.offers.items() if entry.resources.scalar_milli("cpus") >= 1]
        if not held:
            return
        entry = state.offers[held[pick % len(held)]]
        framework = state.frameworks[entry.offer.framework_id]
        event = Accept(
            caller=ROOT,
            framework_id=framework.info.framework_id,
            subscription_id=framework.subscription_id,
            offer_ids=(entry.offer.offer_id,),
            operations=(Launch(tasks=(task_info(task, entry.offer.agent_id, piece),)),),
            filters=Filters(refuse_ms=refuse_ms),
        )
        self.attempt(event)

    @rule(pick=st.integers(0, 9), state=states, uuid=uuids, acknowledged=st.booleans())
    def a_task_goes_on(self, pick: int, state: TaskState, uuid: bytes, acknowledged: bool) -> None:
        """Its own agent says so, and its framework acknowledges."""
        running = [entry for framework in self.world.state.frameworks.values() for entry in framework.tasks.values()]
        if not running:
            return
        entry = running[pick % len(running)]
        agent, framework = self.world.state.agents[entry.agent_id], self.world.state.frameworks[entry.framework_id]
        if agent.stream is None:
            return
        speaker = (entry.framework_id, framework.subscription_id, 0)
        self.world.report(agent.stream, speaker, entry.info.task_id, state, uuid=uuid)
        if acknowledged:
            self.attempt(Acknowledge(**call(speaker), agent_id=entry.agent_id, task_id=entry.info.task_id, uuid=uuid))

    @precondition(lambda self: self.frameworks)
    @rule(which=st.integers(0, 5), refuse_ms=refusals)
    def framework_declines(self, which: int, refuse_ms: int) -> None:
        framework = self.subscription(which)
        filters = Filters(refuse_ms=refuse_ms)
        self.attempt(Decline(**call(framework), offer_ids=tuple(self.world.state.offers), filters=filters))

    @precondition(lambda self: self.frameworks)
    @rule(which=st.integers(0, 5), task=tasks, agent=agents, uuid=uuids, action=st.integers(0, 6))
    def framework_calls(self, which: int, task: str, agent: str, uuid: bytes, action: int) -> None:
        fields, task_id, agent_id = call(self.subscription(which)), TaskId(task), AgentId(agent)
        events = (
            Kill(**fields, task_id=task_id),
            Kill(**fields, task_id=task_id, agent_id=agent_id),
            Acknowledge(**fields, agent_id=agent_id, task_id=task_id, uuid=uuid),
            Reconcile(**fields),
            Reconcile(**fields, tasks=((task_id, agent_id), (task_id, AgentId("")))),
            Revive(**fields),
            Suppress(**fields, roles=("r",)),
        )
        self.attempt(events[action])

    @precondition(lambda self: self.frameworks)
    @rule(which=st.integers(0, 5))
    def framework_ends(self, which: int) -> None:
        self.attempt(Teardown(**call(self.subscription(which))))

    # --- the rest ---

    @precondition(lambda self: self.frameworks)
    @rule(which=st.integers(0, 5), task=tasks)
    def operator_kills(self, which: int, task: str) -> None:
        self.attempt(OperatorKill(caller=ROOT, framework_id=self.subscription(which)[0], task_id=TaskId(task)))

    @rule(weight=st.sampled_from((500, 1000, 4000)), chance=st.integers(0, 9))
    def operator_weighs(self, weight: int, chance: int) -> None:
        if not chance:
            self.attempt(WeightsChanged(weights_milli=(("r", weight),)))

    @rule(
        role=st.sampled_from(ROLES),
        guarantee=st.sampled_from((0, 1_000, 3_000)),
        limit=st.sampled_from((None, 1_000, 4_000)),
        force=st.booleans(),
    )
    def operator_sets_a_quota(self, role: str, guarantee: int, limit: int | None, force: bool) -> None:
        limits = {} if limit is None else {"cpus": max(limit, guarantee)}
        quota = Quota(guarantees_milli={"cpus": guarantee} if guarantee else {}, limits_milli=limits)
        before = dict(self.world.state.quotas)
        self.attempt(QuotasChanged(caller=ROOT, quotas=((role, quota),), force=force))
        assert self.world.state.quotas.get(role, NO_QUOTA) in (quota, before.get(role, NO_QUOTA))

    @rule(hostnames=st.none() | st.sets(agents), chance=st.integers(0, 4))
    def the_whitelist_changes(self, hostnames: set[str] | None, chance: int) -> None:
        """Seldom: with most hosts off the list there is little to see."""
        if not chance:
            self.allowed = hostnames
            self.read_whitelist()

    def read_whitelist(self) -> None:
        self.attempt(WhitelistChanged(hostnames=None if self.allowed is None else tuple(sorted(self.allowed))))

    @invariant()
    def offers_are_of_allowed_hosts(self) -> None:
        if self.allowed is not None:
            assert {entry.offer.hostname for entry in self.world.state.offers.values()} <= self.allowed

    @rule(name=agents, chance=st.integers(0, 19))
    def operator_gives_an_agent_up(self, name: str, chance: int) -> None:
        if not chance:
            self.attempt(AgentMarkedGone(agent_id=AgentId(name)))

    @rule(name=agents, chance=st.integers(0, 9), mark_gone=st.integers(0, 9))
    def operator_drains(self, name: str, chance: int, mark_gone: int) -> None:
        if not chance:
            self.attempt(DrainAgent(caller=ROOT, agent_id=AgentId(name), max_grace_ms=5, mark_gone=not mark_gone))

    @rule(name=agents)
    def operator_cancels_a_drain(self, name: str) -> None:
        self.attempt(CancelDrain(caller=ROOT, agent_id=AgentId(name)))

    @rule(pick=st.integers(0, 9), undo=st.booleans(), cpus_milli=st.sampled_from((1, 500, 9_000)))
    def framework_reserves(self, pick: int, undo: bool, cpus_milli: int) -> None:
        state = self.world.state
        held = list(state.offers)
        if not held:
            return
        entry = state.offers[held[pick % len(held)]]
        framework = state.frameworks[entry.offer.framework_id]
        reservation = Reservation(role=entry.offer.role, dynamic=True, principal=framework.info.principal)
        piece = Resource(name="cpus", value=Scalar(milli=cpus_milli), reservations=(reservation,))
        resources = Resources((piece,))
        event = Accept(
            caller=ROOT,
            framework_id=framework.info.framework_id,
            subscription_id=framework.subscription_id,
            offer_ids=(entry.offer.offer_id,),
            operations=(Unreserve(resources=resources) if undo else Reserve(resources=resources),),
        )
        self.attempt(event)

    @rule(
        name=agents,
        undo=st.booleans(),
        role=st.sampled_from(("r", "r/s", "q")),
        cpus_milli=st.sampled_from((1, 500, 9_000)),
        lease_s=st.sampled_from((0, 0, 20)),
    )
    def operator_reserves(self, name: str, undo: bool, role: str, cpus_milli: int, lease_s: int) -> None:
        expires_ms = self.world.now_ns // 10**6 + lease_s * 1_000 if lease_s and not undo else 0
        reservation = Reservation(role=role, dynamic=True, expires_ms=expires_ms)
        resources = Resources((Resource(name="cpus", value=Scalar(milli=cpus_milli), reservations=(reservation,)),))
        change = Unreserve(resources=resources) if undo else Reserve(resources=resources)
        self.attempt(ResourcesChanged(caller=ROOT, agent_id=AgentId(name), change=change))

    @rule(name=agents, active=st.booleans())
    def operator_activates(self, name: str, active: bool) -> None:
        self.attempt(AgentActivated(caller=ROOT, agent_id=AgentId(name), active=active))

    @rule(name=agents, start_s=st.sampled_from((0, 5, 40)), length_s=st.sampled_from((0, 1, 30)), cancel=st.booleans())
    def operator_plans_maintenance(self, name: str, start_s: int, length_s: int, cancel: bool) -> None:
        start_ns = self.world.now_ns + start_s * 10**9
        windows = ((name, Unavailability(start_ns=start_ns, duration_ns=length_s * 10**9)),)
        cancelled = (name,) if cancel else ()
        self.attempt(MaintenanceUpdated(caller=ROOT, windows=() if cancel else windows, cancelled=cancelled))

    @rule(pick=st.integers(0, 5), chance=st.integers(0, 9))
    def operator_ends_a_framework(self, pick: int, chance: int) -> None:
        known = list(self.world.state.frameworks)
        if known and not chance:
            self.attempt(OperatorTeardown(caller=ROOT, framework_id=known[pick % len(known)]))

    @rule(seconds=st.sampled_from((1, 2, 16, 31, 80)))
    def time_passes(self, seconds: int) -> None:
        self.world.advance(seconds)

    @rule(chance=st.integers(0, 9))
    def master_crashes(self, chance: int) -> None:
        """What was saved is all that the next one knows."""
        if chance:
            return
        self.saved += [e for e in self.world.effects if isinstance(e, Save)]
        remembered = remembered_of(self.saved)
        changed = {record.agent_id for record in remembered.agent_resources}
        before = {name: agent for name, agent in self.world.state.agents.items() if name in changed}
        deactivated = dict(self.world.state.deactivated_agent_ids)
        refused = {each.framework.framework_id for each in remembered.frameworks if each.completed}
        self.epoch += 1
        streams = self.world.streams
        self.world = World(remembered=remembered, epoch=self.epoch, settings=SETTINGS)
        self.world.streams = streams
        self.read_whitelist()
        assert self.world.state.refused_framework_ids.keys() == refused
        assert self.world.state.quotas == dict(remembered.quotas)
        assert self.world.state.deactivated_agent_ids.keys() == deactivated.keys()
        for name, agent in before.items():
            assert self.world.state.agents[name].info.resources == agent.info.resources


TestMaster = MasterMachine.TestCase
TestMaster.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
