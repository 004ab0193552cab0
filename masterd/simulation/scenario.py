"""Scenarios: what a YAML file says, checked whole before anything begins. The form is documented in docs/simulation.md."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import yaml

from masterd import allocators
from masterd.allocator.quota import NO_QUOTA, Quota, checked_quota
from masterd.allocator.shares import checked_weight
from masterd.simulation.fields import COUNT_LIMIT, LONGEST_S, Fields
from masterd.simulation.laws import Law
from masterd.simulation.steps import PlannedStep, parse_step
from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_role
from paddock.model.resources import Resources, Scalar

SIZE_LIMIT_BYTES = 1_000_000
SAMPLES_LIMIT_COUNT = 100_000
SEED_LIMIT = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentGroup:
    """`count` agents that are alike: `name-1`, `name-2`…"""

    name: str
    count: int
    resources: Resources
    arrives_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePolicy:
    """Weight and quota of a role."""

    role: str
    weight_milli: int
    quota: Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """From `from_s` after its arrival on, a framework's tasks look like this, and it wants so many of them.

    Either it keeps `wanted` tasks going, or tasks come to it `every` so often and wait for their turn.
    """

    from_s: float
    task: Resources
    runs: Law
    wanted: int
    every: Law | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedFramework:
    """A framework by its laws. `leaves_s` None: it stays. `refuse_s`: for how long it refuses what it has no use for."""

    name: str
    role: str
    arrives_s: float
    leaves_s: float | None
    refuse_s: float
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The agent, or the framework, is gone from `at_s` on, and is back `for_s` later (None: never). The master starts again
    at once; the others find it `for_s` later.
    """

    at_s: float
    agent: str
    framework: str
    master: bool
    for_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """All of it."""

    name: str
    seed: int
    duration_s: float
    sample_s: float
    allocator: str
    allocation_interval_s: float
    agents: tuple[AgentGroup, ...]
    roles: tuple[RolePolicy, ...]
    frameworks: tuple[SimulatedFramework, ...]
    failures: tuple[Failure, ...]
    steps: tuple[PlannedStep, ...] = ()


def parse_scenario(text: str, place: str = "scenario", *, seed: int | None = None) -> Scenario:
    """Raises InvalidRequest that names the field, its value, and what would be accepted. `seed` instead of its own."""
    if len(text) > SIZE_LIMIT_BYTES:
        raise InvalidRequest(place, f"{len(text)} characters", f"a scenario has at most {SIZE_LIMIT_BYTES}")
    try:
        content: object = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidRequest(place, text[:40], f"this is no YAML: {' '.join(str(error).split())[:200]}") from None
    fields = Fields(content, "scenario")
    duration_s = fields.number("duration_s", None, least=1, most=LONGEST_S)
    sample_s = fields.number("sample_s", 1.0, least=0.01, most=duration_s)
    if duration_s / sample_s > SAMPLES_LIMIT_COUNT:
        remedy = f"that makes more than {SAMPLES_LIMIT_COUNT} samples; look less often"
        raise InvalidRequest(fields.at("sample_s"), sample_s, remedy)
    scenario = Scenario(
        name=fields.text("name"),
        seed=_seed(fields, seed),
        duration_s=duration_s,
        sample_s=sample_s,
        allocator=_allocator(fields),
        allocation_interval_s=fields.number("allocation_interval_s", 1.0, least=0.01, most=3_600),
        agents=tuple(_agent_group(item, where) for item, where in fields.items("agents", least=1)),
        roles=tuple(_role_policy(item, where) for item, where in fields.items("roles")),
        frameworks=tuple(
            each for item, where in fields.items("frameworks", least=1) for each in _frameworks(item, where)
        ),
        failures=tuple(_failure(item, where) for item, where in fields.items("failures")),
        steps=tuple(parse_step(item, where) for item, where in fields.items("steps")),
    )
    fields.finish()
    _check_names(scenario)
    return scenario


def _seed(fields: Fields, instead: int | None) -> int:
    own = fields.whole("seed", 1, most=SEED_LIMIT)
    if instead is None:
        return own
    if not 0 <= instead <= SEED_LIMIT:
        raise InvalidRequest("--seed", instead, f"write a whole number between 0 and {SEED_LIMIT}")
    return instead


def _allocator(fields: Fields) -> str:
    name = fields.text("allocator", "drf")
    problem = allocators.check_name(name)
    if problem is not None:
        raise InvalidRequest(fields.at("allocator"), name, problem)
    return name


def _agent_group(content: object, place: str) -> AgentGroup:
    fields = Fields(content, place)
    group = AgentGroup(
        name=fields.text("name"),
        count=fields.whole("count", 1, least=1),
        resources=fields.resources("resources"),
        arrives_s=fields.time_s("arrives_s", 0.0),
    )
    fields.finish()
    return group


def _role_policy(content: object, place: str) -> RolePolicy:
    fields = Fields(content, place)
    role = check_role(fields.text("name"), fields.at("name"))
    weight = fields.number("weight", 1.0, least=0.001, most=1e6)
    guarantees, limits = fields.resources("guarantees", Resources()), fields.resources("limits", Resources())
    fields.finish()
    quota = checked_quota(role, guarantees, limits, nested=True, where=place)
    return RolePolicy(role=role, weight_milli=checked_weight(role, weight, place), quota=quota or NO_QUOTA)


def _frameworks(content: object, place: str) -> list[SimulatedFramework]:
    """`count` of them that are alike."""
    fields = Fields(content, place)
    name, count = fields.text("name"), fields.whole("count", 1, least=1, most=10_000)
    role = fields.role("role")
    arrives_s = fields.time_s("arrives_s", 0.0)
    leaves_s = fields.time_s("leaves_s", None) if fields.has("leaves_s") else None
    if leaves_s is not None and leaves_s <= arrives_s:
        raise InvalidRequest(fields.at("leaves_s"), leaves_s, f"it arrives at {arrives_s:g}; let it leave later")
    refuse_s = fields.number("refuse_s", 5.0, least=0, most=86_400)
    phases = tuple(_phase(item, where) for item, where in fields.items("phases", least=1))
    fields.finish()
    if [phase.from_s for phase in phases] != sorted({phase.from_s for phase in phases}):
        raise InvalidRequest(fields.at("phases"), [phase.from_s for phase in phases], "order them by from_s, each once")
    return [
        SimulatedFramework(
            name=name if count == 1 else f"{name}-{number}",
            role=role,
            arrives_s=arrives_s,
            leaves_s=leaves_s,
            refuse_s=refuse_s,
            phases=phases,
        )
        for number in range(1, count + 1)
    ]


def _phase(content: object, place: str) -> Phase:
    fields = Fields(content, place)
    phase = Phase(
        from_s=fields.time_s("from_s", 0.0),
        task=_task(fields),
        runs=fields.law("runs_s"),
        wanted=fields.whole("wanted", 0, most=COUNT_LIMIT),
        every=fields.law("every_s") if fields.has("every_s") else None,
    )
    fields.finish()
    if phase.wanted and phase.every is not None:
        raise InvalidRequest(
            fields.at("every_s"), "", "a framework keeps `wanted` tasks going, or they come by `every_s`"
        )
    return phase


def _task(fields: Fields) -> Resources:
    resources = fields.resources("task")
    for resource in resources:
        if not isinstance(resource.value, Scalar) or resource.reservations:
            raise InvalidRequest(fields.at("task"), resource.name, "tasks of a scenario need plain amounts")
    return resources


def _failure(content: object, place: str) -> Failure:
    fields = Fields(content, place)
    failure = Failure(
        at_s=fields.time_s("at_s", None),
        agent=fields.text("agent", "") if fields.has("agent") else "",
        framework=fields.text("framework", "") if fields.has("framework") else "",
        master=fields.truth("master"),
        for_s=fields.number("for_s", None, least=0.001, most=LONGEST_S) if fields.has("for_s") else None,
    )
    fields.finish()
    if bool(failure.agent) + bool(failure.framework) + failure.master != 1:
        raise InvalidRequest(place, content, "name one agent or one framework that fails, or master: true")
    if failure.master and failure.for_s is None:
        raise InvalidRequest(fields.at("for_s"), None, "say after how many seconds the others find the master again")
    return failure


def agent_names(scenario: Scenario) -> list[str]:
    """Of all groups."""
    return [f"{group.name}-{number}" for group in scenario.agents for number in range(1, group.count + 1)]


def _check_names(scenario: Scenario) -> None:
    agents, frameworks = agent_names(scenario), [framework.name for framework in scenario.frameworks]
    for place, names in (
        ("agents", agents),
        ("frameworks", frameworks),
        ("roles", [each.role for each in scenario.roles]),
    ):
        if len(names) > COUNT_LIMIT:
            raise InvalidRequest(place, len(names), f"at most {COUNT_LIMIT} in all")
        twice, count = Counter(names).most_common(1)[0] if names else ("", 0)
        if count > 1:
            raise InvalidRequest(place, twice, "each name once")
    known_agents, known_frameworks = set(agents), set(frameworks)
    for step in scenario.steps:
        if step.operation == "framework" and step.arguments["name_id"] in known_frameworks:
            raise InvalidRequest(
                step.place, step.arguments["name_id"], "one of the frameworks that live by laws is called so"
            )
    for number, failure in enumerate(scenario.failures):
        if failure.agent and failure.agent not in known_agents:
            raise InvalidRequest(f"failures[{number}].agent", failure.agent, f"agents are called {agents[0]} and so on")
        if failure.framework and failure.framework not in known_frameworks:
            known = ", ".join(frameworks[:5])
            raise InvalidRequest(f"failures[{number}].framework", failure.framework, f"frameworks are called {known}")
