"""The cases of kind `master`: events for the real core in virtual time, and what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

from masterd.allocator import quota, shares
from masterd.allocator.interface import AllocatorSettings
from masterd.core import effects, events, inspection, views
from masterd.core.authorizer import Action
from masterd.core.state import Settings
from masterd.simulation.cluster import Cluster, new_master
from paddock.model import errors, offer, task
from paddock.model.agent import AgentInfo
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import NO_FRAMEWORK_ID, AgentId, FrameworkId, TaskId
from paddock.model.resources import Resources
from tests.conformance.words import MESOS, Case, Operation, Words, made, resources_of, units

MAY_ONLY_ROLE1: Any = SimpleNamespace(
    allows=lambda caller, action, role: (
        caller.user != "may-only-role1" or action is not Action.UPDATE_QUOTA or role == "role1"
    )
)
AWARE = {False: frozenset[FrameworkCapability](), True: frozenset({FrameworkCapability.PARTITION_AWARE})}
NO_QUOTA: Words = {"guarantees": {}, "limits": {}}
STATES: dict[Any, str] = {
    views.AgentState.UNREACHABLE: "unreachable",
    views.FrameworkState.SUBSCRIBED: "registered",
    views.FrameworkState.COMPLETED: "completed",
}


def checked_quota(role: str = "", guarantees: Words | None = None, limits: Words | None = None) -> quota.Quota:
    return quota.checked_quota(role, resources_of(guarantees or {}), resources_of(limits or {}), nested=False)


def launched(agent_id: AgentId, task_id: TaskId, resources: Resources) -> offer.Launch:
    command = task.CommandInfo(arguments=("/bin/true",))
    info = task.TaskInfo(task_id=task_id, name=task_id, agent_id=agent_id, resources=resources, command=command)
    return offer.Launch(tasks=(info,))


def told(wanted: Words, seen: Words) -> bool | str:
    """True when all that is wanted was seen, else what was."""
    return wanted.items() <= seen.items() or str(seen)


OPERATIONS: dict[str, Operation] = {
    "reserve": lambda bundle, agent_id: offer.Reserve(resources=resources_of(bundle)),
    "launch": lambda words, agent_id: made(launched, words, agent_id),
}
CALLS: dict[str, Operation] = {
    "UPDATE_QUOTA": lambda case, args, caller, force: case.do(
        events.QuotasChanged(
            quotas=tuple((words["role"], checked_quota(**words)) for words in args), caller=caller, force=force
        )
    ),
    "UPDATE_WEIGHTS": lambda case, args, caller, force: case.do(
        events.WeightsChanged(
            weights_milli=tuple((role, shares.checked_weight(role, args[role])) for role in args), caller=caller
        )
    ),
    "MARK_AGENT_GONE": lambda case, args, caller, force: case.do(made(events.AgentMarkedGone, args, caller=caller)),
    "RECONCILE": lambda case, args, caller, force: case.do(
        events.Reconcile(
            tasks=tuple((TaskId(each["task"]), AgentId(each.get("agent") or "")) for each in args),
            **case.call_of(case.present(caller.user)),
        )
    ),
    "SUBSCRIBE": lambda case, args, caller, force: made(case.comes, args, caller.user),
    "ACCEPT": lambda case, args, caller, force: made(
        case.accepts, {**args, "operations": None}, caller.user, args.get("operations") or ()
    ),
}


class MasterCase(Cluster, Case):
    """Each operation answers True, or what was seen instead. Frameworks keep what they are offered."""

    plain: ClassVar = {
        "agent_silent": lambda self, agent: self.silent.add(agent),
        "agent_disconnects": lambda self, agent: self.lose_agent(agent),
        "agent_returns": lambda self, agent: self.connect(self.agents[agent]),
        "framework_disconnects": lambda self, name: self.lose_framework(self.id_of(name)),
        "master_failover": lambda self, _: self.restart(),
        "advance": lambda self, seconds: self.time.run(self.time.now_s + seconds),
        "expect_rescinded": lambda self, counts: told(
            counts, {name: len(notes) for name, notes in self.news(effects.NoteRescinded, counts).items()}
        ),
        "expect_offers_to": lambda self, counts: told(
            counts,
            {
                name: len({each.agent_id for note in notes for each in note.offers})
                for name, notes in self.news(effects.NoteOffers, counts).items()
            },
        ),
        "expect_agent": lambda self, words: told(words, self.agent_words(words["id"])),
        "expect_framework": lambda self, words: told(words, self.framework_words(words["id"])),
        "expect_role": lambda self, words: told(words, self.role_words(words["role"])),
        "expect_quota": lambda self, words: told({**NO_QUOTA, **words}, self.role_words(words["role"])),
        "expect_weights": lambda self, words: told(words, {role: self.role_words(role)["weight"] for role in words}),
        "expect_task_update": lambda self, words: told(words, self.task_words(words["framework"], words["task"])),
    }
    by_name: ClassVar = {
        "agent": lambda self, agent_id, total: self.connect(
            AgentInfo(agent_id=agent_id, hostname=agent_id, resources=Resources.of(total))
        ),
        "framework": lambda self, framework_id, partition_aware=False, checkpoint=False, **info: self.come(
            framework_id,
            FrameworkInfo(framework_id=framework_id, name=framework_id, capabilities=AWARE[partition_aware], **info),
        ),
        "hold_offers": lambda self, framework_id: self.held(framework_id) is not None,
        "offers": lambda self, framework_id, agents: self.holds(framework_id, agents),
        "launch": lambda self, **words: self.launches(**words),
        "call": lambda self, **words: self.calls(**words),
    }

    def __init__(self, seed: int, **settings: Any) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.agents: dict[str, AgentInfo] = {}
        self.frameworks: dict[str, FrameworkInfo] = {}
        master = new_master(settings=Settings(**settings), allocator_settings=AllocatorSettings(**MESOS), seed=seed)
        super().__init__(master, authorizer=MAY_ONLY_ROLE1)

    def settled(self, answer: Any) -> Any:
        self.settle()
        return True if answer is None else answer

    def framework_told(self, framework_id: FrameworkId, message: effects.FrameworkMessage) -> None:
        self.heard.append((framework_id, message))

    def news(self, kind: type, names: Iterable[str]) -> dict[str, list[Any]]:
        """What these have heard of the kind since anybody was last asked for it."""
        news = [entry for entry in self.heard if isinstance(entry[1], kind)]
        self.heard = [entry for entry in self.heard if not isinstance(entry[1], kind)]
        return {name: [message for framework_id, message in news if framework_id == self.id_of(name)] for name in names}

    def id_of(self, name: str) -> FrameworkId:
        return self.frameworks[name].framework_id if name in self.frameworks else FrameworkId(name)

    def come(self, name: str, info: FrameworkInfo) -> None:
        self.frameworks[name] = replace(info, framework_id=self.subscribe(info))

    def present(self, name: str) -> FrameworkId:
        """A framework that only lost its master comes back by itself."""
        entry = self.state.frameworks.get(self.id_of(name))
        if entry is not None and entry.state is views.FrameworkState.RECOVERED:
            self.come(name, self.frameworks[name])
        return self.id_of(name)

    def held(self, name: str, enough: Callable[[list[offer.Offer]], bool] = bool, **wanted: str) -> list[offer.Offer]:
        """Its offers of this agent and role, after a run if they are not enough. They are no news any more."""

        def now() -> list[offer.Offer]:
            return [each for each in self.offers_of(self.present(name)) if wanted.items() <= each._asdict().items()]

        for _ in range(2):
            if not enough(now()):
                self.do(events.CycleDue(batch=True))
        self.news(effects.NoteOffers, ())
        return now()

    def comes(self, name: str, framework_id: FrameworkId = NO_FRAMEWORK_ID, roles: Any = None) -> None:
        known = self.frameworks.get(framework_id or name, FrameworkInfo(name=name))
        self.come(name, replace(known, framework_id=framework_id, roles=known.roles if roles is None else roles))

    def accepts(self, name: str, work: Any, agent_id: AgentId, refuse_ms: int = offer.DEFAULT_REFUSE_MS) -> None:
        offers = self.held(name, agent_id=agent_id)
        operations = [OPERATIONS[kind](said, agent_id) for each in work for kind, said in each.items()]
        self.accept(self.id_of(name), offers, operations, refuse_ms)

    def connect(self, info: AgentInfo) -> None:
        """It closes the connection that it had, if it had one."""
        self.agents[info.agent_id] = info
        self.silent.discard(info.agent_id)
        self.lose_agent(info.agent_id)
        self.register(info)

    def holds(self, name: str, count: int) -> bool | str:
        def seen(offers: Iterable[offer.Offer]) -> set[str]:
            return {each.agent_id for each in offers}

        found = seen(self.held(name, lambda offers: len(seen(offers)) == count))
        return len(found) == count or f"holds offers of {sorted(found)}"

    def launches(self, framework_id: str, role: str, agent_id: AgentId, **what: Any) -> bool | str:
        held = self.held(framework_id, agent_id=agent_id, role=role)
        key = (self.id_of(framework_id), what["task_id"])
        self.accept(key[0], held, [launched(agent_id, **what)])
        self.report(agent_id, key, task.TaskState.RUNNING)
        seen = inspection.find_task(self.state, key)
        return (seen is not None and seen.state is task.TaskState.RUNNING) or f"it is {seen}"

    def calls(
        self, name: str, expect: str, args: Any = None, api: str = "", who: str = "root", force: bool = False
    ) -> Any:
        seen, why = "ok", ""
        try:
            CALLS[name](self, args or {}, events.Caller(uid=0, user=who), force)
        except errors.PaddockError as error:
            seen, why = "forbidden" if isinstance(error, errors.PermissionRefused) else "bad_request", str(error)
        return seen == expect or f"{seen} {why}"

    def agent_words(self, name: str) -> Words:
        entry = self.state.agents.get(AgentId(name))
        known = "unknown" if entry is None else STATES.get(entry.state, "registered")
        return {"id": name, "state": "gone" if name in self.state.gone_agent_ids else known}

    def framework_words(self, name: str) -> Words:
        entry = self.state.framework(self.id_of(name))
        return {"id": name, "state": "unknown" if entry is None else STATES.get(entry.state, "disconnected")}

    def task_words(self, name: str, task_id: str) -> Words:
        """The newest word of it, if there was one."""
        notes = [note for who, note in self.heard if who == self.id_of(name) and isinstance(note, effects.NoteStatus)]
        seen = {"framework": name, "task": task_id}
        for status in [note.status for note in notes if note.status.task_id == task_id]:
            seen |= {"state": f"TASK_{status.state.name}", "reason": getattr(status.reason, "name", "")}
        return seen

    def role_words(self, role: str) -> Words:
        view = inspection.role_view(self.state, role)
        used, offered = view.used.quantities_milli(), view.offered.quantities_milli()
        has = {"allocated": used, "used": used, "offered": offered, "consumed": view.consumed_milli}
        kept = {"reserved": view.reserved_milli, "guarantees": view.quota.guarantees_milli}
        named = {"role": view.role, "weight": units(view.weight_milli), "frameworks": list(view.framework_ids)}
        return {**named, **units({**has, **kept, "limits": view.quota.limits_milli})}
