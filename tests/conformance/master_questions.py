"""What the cases of kind `master` ask."""

from __future__ import annotations

from masterd.allocator.quota import Quota
from masterd.core import inspection
from masterd.core.events import CycleDue
from masterd.core.views import AgentState, FrameworkState
from paddock.model.ids import AgentId, FrameworkId
from tests.conformance.bundles import milli, units
from tests.conformance.master import Words
from tests.conformance.master_calls import MasterCalls


class MasterQuestions(MasterCalls):
    """Each answers True, or what it saw instead."""

    def offers(self, words: Words) -> bool | str:
        name, wanted = words["framework"], words["agents"]
        self._who(name)
        seen = {offer.agent_id for offer in self._held(name)}
        if len(seen) != wanted:
            self._do(CycleDue(batch=True))
            seen = {offer.agent_id for offer in self._held(name)}
        self._offered[name] = []
        return len(seen) == wanted or f"holds offers of {sorted(seen)}"

    def expect_rescinded(self, words: Words) -> bool | str:
        seen, self._rescinded = {name: len(self._rescinded.get(name, ())) for name in words}, {}
        return seen == dict(words) or f"taken back: {seen}"

    def expect_offers_to(self, words: Words) -> bool | str:
        seen = {name: len({offer.agent_id for offer in self._offered.get(name, ())}) for name in words}
        self._offered = {}
        return seen == dict(words) or f"newly offered: {seen}"

    def expect_task_update(self, words: Words) -> bool | str:
        status = self._statuses.get((words["framework"], words["task"]))
        if status is None:
            return "nothing was heard of it"
        seen = {"state": f"TASK_{status.state.name}", "reason": getattr(status.reason, "name", "")}
        return all(seen[key] == words[key] for key in seen if key in words) or str(seen)

    def expect_agent(self, words: Words) -> bool | str:
        agent = self._state.agents.get(AgentId(words["id"]))
        unreachable = agent is not None and agent.state is AgentState.UNREACHABLE
        seen = "unreachable" if unreachable else "registered" if agent is not None else "unknown"
        if words["id"] in self._state.gone_agent_ids:
            seen = "gone"
        return seen == words["state"] or seen

    def expect_framework(self, words: Words) -> bool | str:
        framework = self._state.framework(FrameworkId(words["id"]))
        names = {FrameworkState.SUBSCRIBED: "registered", FrameworkState.COMPLETED: "completed"}
        seen = names.get(framework.state, "disconnected") if framework else "unknown"
        return seen == words["state"] or seen

    def expect_role(self, words: Words) -> bool | str:
        view = inspection.role_view(self._state, words["role"])
        seen = {
            "role": view.role,
            "weight": view.weight_milli / 1000,
            "frameworks": list(view.framework_ids),
            "guarantees": units(view.quota.guarantees_milli),
            "limits": units(view.quota.limits_milli),
            "consumed": units(view.consumed_milli),
            "reserved": units(view.reserved_milli),
            "allocated": units(view.used.quantities_milli()),
            "used": units(view.used.quantities_milli()),
            "offered": units(view.offered.quantities_milli()),
        }
        return all(key in seen and seen[key] == value for key, value in words.items()) or str(seen)

    def expect_quota(self, words: Words) -> bool | str:
        seen = inspection.role_view(self._state, words["role"]).quota
        wanted = Quota(guarantees_milli=milli(words.get("guarantees")), limits_milli=milli(words.get("limits")))
        return seen == wanted or str(seen)

    def expect_weights(self, words: Words) -> bool | str:
        seen = {role: inspection.role_view(self._state, role).weight_milli / 1000 for role in words}
        return seen == dict(words) or str(seen)
