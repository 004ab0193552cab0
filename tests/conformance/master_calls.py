"""The calls of the cases of kind `master`, of schedulers and of operators."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from masterd.allocator.quota import checked_quota
from masterd.allocator.shares import checked_weight
from masterd.core.events import AgentMarkedGone, QuotasChanged, Reconcile, WeightsChanged
from paddock.model.errors import PaddockError, PermissionRefused
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId, TaskId
from paddock.model.offer import DEFAULT_REFUSE_MS, Launch, Operation, Reserve
from tests.conformance.bundles import resources_of
from tests.conformance.master import MasterCase, Words, caller_of, task_of


class MasterCalls(MasterCase):
    """Each answers True when what came of it is what the case expects, or what came of it."""

    def call(self, words: Words) -> bool | str:
        try:
            CALLS[words["name"]](self, words)
        except PermissionRefused as error:
            seen, why = "forbidden", str(error)
        except PaddockError as error:
            seen, why = "bad_request", str(error)
        else:
            seen, why = "ok", ""
        return seen == words["expect"] or f"{seen} {why}"

    def _update_quota(self, words: Words) -> None:
        quotas = tuple(
            (
                each["role"],
                checked_quota(
                    each["role"], resources_of(each.get("guarantees")), resources_of(each.get("limits")), nested=False
                ),
            )
            for each in words["args"]
        )
        self._event(QuotasChanged(caller=caller_of(words.get("as")), quotas=quotas, force=words.get("force", False)))

    def _update_weights(self, words: Words) -> None:
        weights = tuple((role, checked_weight(role, weight)) for role, weight in words["args"].items())
        self._event(WeightsChanged(weights_milli=weights, caller=caller_of(words.get("as"))))

    def _mark_gone(self, words: Words) -> None:
        self._event(AgentMarkedGone(agent_id=AgentId(words["args"]["agent"])))

    def _subscribe_call(self, words: Words) -> None:
        args, name = words["args"] or {}, words["as"]
        before = self._frameworks.get(args.get("framework_id") or name)
        info = before or FrameworkInfo(name=name)
        info = replace(info, framework_id=FrameworkId(args.get("framework_id") or ""))
        self._subscribe(name, replace(info, roles=tuple(args["roles"])) if "roles" in args else info)

    def _reconcile(self, words: Words) -> None:
        tasks = tuple((TaskId(each["task"]), AgentId(each.get("agent") or "")) for each in words["args"] or ())
        self._event(Reconcile(tasks=tasks, **self._who(words["as"])))

    def _accept_call(self, words: Words) -> None:
        args, name = words["args"], words["as"]
        held = self._held_after_a_run(name, args["agent"])
        operations = [_operation(each, args["agent"]) for each in args.get("operations") or ()]
        refuse_s = args.get("refuse_seconds")
        self._offered[name] = []
        self._accept(name, held, operations, DEFAULT_REFUSE_MS if refuse_s is None else ceil(refuse_s * 1000))


CALLS = {
    "UPDATE_QUOTA": MasterCalls._update_quota,
    "UPDATE_WEIGHTS": MasterCalls._update_weights,
    "MARK_AGENT_GONE": MasterCalls._mark_gone,
    "SUBSCRIBE": MasterCalls._subscribe_call,
    "RECONCILE": MasterCalls._reconcile,
    "ACCEPT": MasterCalls._accept_call,
}


def _operation(words: Words, agent_id: str) -> Operation:
    if "reserve" in words:
        return Reserve(resources=resources_of(words["reserve"]))
    launch = words["launch"]
    return Launch(tasks=(task_of(launch["task"], agent_id, resources_of(launch["resources"])),))
