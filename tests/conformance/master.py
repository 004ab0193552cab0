"""The cases of kind `master`: events for the real core in virtual time, and what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar

from masterd.allocator import interface, shares
from masterd.core import effects, events, inspection, state, views
from masterd.core.authorizer import Action
from masterd.simulation.cluster import Cluster, new_master
from paddock.model import agent, errors, ids, offer, task
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.resources import Resources
from tests.conformance.words import (
    BEYOND_MESOS,
    Case,
    Operation,
    Words,
    checked_quota,
    made,
    read,
    resources_of,
    units,
)


class Rules:
    """The one principal of the cases that may not do everything."""

    def allows(self, caller: events.Caller, action: Action, role: str) -> bool:
        return caller.user != "may-only-role1" or action is not Action.UPDATE_QUOTA or role == "role1"


def caller_of(words: Words) -> events.Caller:
    return events.Caller(uid=0, user=words.get("as") or "root")


def task_of(words: Words, agent_id: str) -> Any:
    command = task.CommandInfo(arguments=("/bin/true",))
    return made(task.TaskInfo, words, name=words["task"], agent_id=agent_id, command=command)


def operation_of(words: Words, agent_id: str) -> offer.Operation:
    if "reserve" in words:
        return offer.Reserve(resources=resources_of(words["reserve"]))
    return offer.Launch(tasks=(task_of(words["launch"], agent_id),))


def role_words(view: views.RoleView) -> Words:
    named = {"role": view.role, "weight": view.weight_milli / 1000, "frameworks": list(view.framework_ids)}
    used, offered = view.used.quantities_milli(), view.offered.quantities_milli()
    quantities = {"allocated": used, "used": used, "offered": offered}
    kept = {"consumed": view.consumed_milli, "reserved": view.reserved_milli}
    quota = {"guarantees": view.quota.guarantees_milli, "limits": view.quota.limits_milli}
    return {**named, **units({**quantities, **kept, **quota})}


def told(wanted: Words, seen: Words) -> bool | str:
    """True when all that is wanted was seen, else what was."""
    return all(name in seen and seen[name] == part for name, part in wanted.items()) or str(seen)


STATES: dict[Any, str] = {
    views.AgentState.UNREACHABLE: "unreachable",
    views.FrameworkState.SUBSCRIBED: "registered",
    views.FrameworkState.COMPLETED: "completed",
}
CALLS: dict[str, Operation] = {
    "UPDATE_QUOTA": lambda case, words, args: case.do(
        events.QuotasChanged(
            caller=caller_of(words),
            quotas=tuple((each["role"], checked_quota(each)) for each in args),
            force=words.get("force", False),
        )
    ),
    "UPDATE_WEIGHTS": lambda case, words, args: case.do(
        events.WeightsChanged(
            caller=caller_of(words),
            weights_milli=tuple((role, shares.checked_weight(role, weight)) for role, weight in args.items()),
        )
    ),
    "MARK_AGENT_GONE": lambda case, words, args: case.do(
        events.AgentMarkedGone(caller=caller_of(words), agent_id=args["agent"])
    ),
    "RECONCILE": lambda case, words, args: case.do(
        events.Reconcile(
            tasks=tuple((each["task"], ids.AgentId(each.get("agent") or "")) for each in args),
            **case.call_of(case.present(words["as"])),
        )
    ),
    "SUBSCRIBE": lambda case, words, args: case.come(
        words["as"],
        replace(
            case.frameworks.get(args.get("framework_id") or words["as"], FrameworkInfo(name=words["as"])),
            framework_id=args.get("framework_id") or "",
            **read(args, ("roles",)),
        ),
    ),
    "ACCEPT": lambda case, words, args: case.accept(
        offers=case.held(words["as"], agent_id=args["agent"]),
        framework_id=case.id_of(words["as"]),
        operations=[operation_of(each, args["agent"]) for each in args.get("operations") or ()],
        **read(args, ("refuse_ms",)),
    ),
}


class MasterCase(Cluster, Case):
    """Each operation answers True, or what was seen instead. Frameworks keep what they are offered."""

    table: ClassVar = {
        "agent_silent": lambda case, name: case.silent.add(name),
        "agent_disconnects": lambda case, name: case.lose_agent(name),
        "framework_disconnects": lambda case, name: case.lose_framework(case.id_of(name)),
        "master_failover": lambda case, _: case.restart(),
        "advance": lambda case, seconds: case.time.run(case.time.now_s + seconds),
        "expect_rescinded": lambda case, words: told(
            words, {name: len(notes) for name, notes in case.news(effects.NoteRescinded, words).items()}
        ),
        "expect_offers_to": lambda case, words: told(
            words,
            {
                name: len({each.agent_id for note in notes for each in note.offers})
                for name, notes in case.news(effects.NoteOffers, words).items()
            },
        ),
        "expect_agent": lambda case, words: told(words, {**words, "state": case.agent_state(words["id"])}),
        "expect_framework": lambda case, words: told(words, {**words, "state": case.framework_state(words["id"])}),
        "expect_role": lambda case, words: told(words, case.role(words["role"])),
        "expect_quota": lambda case, words: told({"guarantees": {}, "limits": {}, **words}, case.role(words["role"])),
        "expect_weights": lambda case, words: told(words, {role: case.role(role)["weight"] for role in words}),
    }

    def __init__(self, seed: int, config: Words) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.statuses: dict[tuple[str, str], task.TaskStatus] = {}
        self.agents: dict[str, agent.AgentInfo] = {}
        self.frameworks: dict[str, FrameworkInfo] = {}
        mesos = interface.AllocatorSettings(**BEYOND_MESOS)
        master = new_master(settings=made(state.Settings, config), allocator_settings=mesos, seed=seed)
        super().__init__(master, authorizer=Rules())

    def settled(self, answer: Any) -> Any:
        self.settle()
        return True if answer is None else answer

    def framework_told(self, framework_id: ids.FrameworkId, message: effects.FrameworkMessage) -> None:
        self.heard.append((framework_id, message))
        if isinstance(message, effects.NoteStatus):
            self.statuses[framework_id, message.status.task_id] = message.status

    def news(self, kind: type, names: Iterable[str]) -> dict[str, list[Any]]:
        """What these have heard of the kind since anybody was last asked for it."""
        news = [entry for entry in self.heard if isinstance(entry[1], kind)]
        self.heard = [entry for entry in self.heard if not isinstance(entry[1], kind)]
        return {name: [message for framework_id, message in news if framework_id == self.id_of(name)] for name in names}

    def id_of(self, name: str) -> ids.FrameworkId:
        return self.frameworks[name].framework_id if name in self.frameworks else ids.FrameworkId(name)

    def role(self, role: str) -> Words:
        return role_words(inspection.role_view(self.state, role))

    def agent_state(self, name: str) -> str:
        entry = self.state.agents.get(ids.AgentId(name))
        known = "unknown" if entry is None else STATES.get(entry.state, "registered")
        return "gone" if name in self.state.gone_agent_ids else known

    def framework_state(self, name: str) -> str:
        entry = self.state.framework(self.id_of(name))
        return "unknown" if entry is None else STATES.get(entry.state, "disconnected")

    def agent(self, words: Words) -> Any:
        whole = Resources.of(resources_of(words["total"]))
        self.agents[words["id"]] = agent.AgentInfo(agent_id=words["id"], hostname=words["id"], resources=whole)
        return self.agent_returns(words["id"])

    def agent_returns(self, name: str) -> Any:
        """It closes the connection that it had, if it had one."""
        self.silent.discard(ids.AgentId(name))
        self.lose_agent(ids.AgentId(name))
        self.register(self.agents[name])
        return self.settled(None)

    def framework(self, words: Words) -> Any:
        aware = {FrameworkCapability.PARTITION_AWARE} if words.get("partition_aware") else set()
        known = {"framework_id": words["id"], "name": words["id"], "capabilities": frozenset(aware)}
        self.come(words["id"], made(FrameworkInfo, words, **known))
        return self.settled(None)

    def come(self, name: str, info: FrameworkInfo) -> None:
        self.frameworks[name] = replace(info, framework_id=self.subscribe(info))

    def present(self, name: str) -> ids.FrameworkId:
        """A framework that only lost its master comes back by itself."""
        entry = self.state.frameworks.get(self.id_of(name))
        if entry is not None and entry.state is views.FrameworkState.RECOVERED:
            self.come(name, self.frameworks[name])
        return self.id_of(name)

    def held(self, name: str, enough: Callable[[list[offer.Offer]], bool] = bool, **wanted: str) -> list[offer.Offer]:
        """Its offers of this agent and role, after a run if they are not enough. They are no news any more."""
        framework_id, found = self.present(name), list[offer.Offer]()
        for _ in range(2):
            offers = self.offers_of(framework_id)
            found = [each for each in offers if all(getattr(each, field) == part for field, part in wanted.items())]
            if enough(found):
                break
            self.do(events.CycleDue(batch=True))
        self.news(effects.NoteOffers, ())
        return found

    def hold_offers(self, words: Words) -> Any:
        self.held(words["framework"])
        return self.settled(None)

    def offers(self, words: Words) -> bool | str:
        def agents(offers: list[offer.Offer]) -> set[str]:
            return {each.agent_id for each in offers}

        found = agents(self.held(words["framework"], lambda offers: len(agents(offers)) == words["agents"]))
        return len(found) == words["agents"] or f"holds offers of {sorted(found)}"

    def launch(self, words: Words) -> Any:
        framework_id, agent_id = self.present(words["framework"]), ids.AgentId(words["agent"])
        held = self.held(words["framework"], agent_id=agent_id, role=words["role"])
        key = (framework_id, ids.TaskId(words["task"]))
        self.accept(framework_id, held, [offer.Launch(tasks=(task_of(words, agent_id),))])
        self.report(agent_id, key, task.TaskState.RUNNING)
        seen = inspection.find_task(self.state, key)
        return self.settled((seen is not None and seen.state is task.TaskState.RUNNING) or f"it is {seen}")

    def call(self, words: Words) -> Any:
        seen, why = "ok", ""
        try:
            CALLS[words["name"]](self, words, words["args"] or {})
        except errors.PaddockError as error:
            seen, why = "forbidden" if isinstance(error, errors.PermissionRefused) else "bad_request", str(error)
        return self.settled(seen == words["expect"] or f"{seen} {why}")

    def expect_task_update(self, words: Words) -> bool | str:
        status = self.statuses.get((self.id_of(words["framework"]), words["task"]))
        if status is None:
            return "nothing was heard of it"
        return told(
            words, {**words, "state": f"TASK_{status.state.name}", "reason": getattr(status.reason, "name", "")}
        )
