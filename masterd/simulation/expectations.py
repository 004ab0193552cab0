"""What one expects to see of a simulated master. Each returns nothing when it is so, else a text: what was seen instead.

Whoever expects is there from the beginning: what frameworks hear is counted from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from masterd.core.effects import FrameworkMessage, NoteOffers, NoteRescinded, NoteStatus
from masterd.core.inspection import role_view
from masterd.core.views import AgentState, FrameworkState
from masterd.simulation.cluster import Cluster
from paddock.model.ids import AgentId, FrameworkId, TaskId
from paddock.model.offer import Offer
from paddock.model.resources import MILLI

Note = TypeVar("Note", NoteOffers, NoteRescinded)
_AGENT_STATES = {AgentState.UNREACHABLE: "unreachable"}
_FRAMEWORK_STATES = {FrameworkState.SUBSCRIBED: "registered", FrameworkState.COMPLETED: "completed"}


def agents_of(offers: Iterable[Offer]) -> set[AgentId]:
    """On which agents they are."""
    return {offer.agent_id for offer in offers}


def _told(wanted: Mapping[str, object], seen: Mapping[str, object]) -> str:
    return "" if wanted.items() <= seen.items() else f"it was {dict(seen)}"


def _units(amounts_milli: Mapping[str, int]) -> dict[str, float]:
    return {name: milli / MILLI for name, milli in amounts_milli.items()}


class Expectations:
    """Of agents, frameworks and roles, in Mesos' words."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._heard: list[tuple[FrameworkId, NoteOffers | NoteRescinded]] = []
        self._statuses: dict[tuple[FrameworkId, TaskId], NoteStatus] = {}
        cluster.listeners.append(self._hear)

    def _hear(self, framework_id: FrameworkId, message: FrameworkMessage) -> None:
        if isinstance(message, NoteStatus):
            self._statuses[framework_id, message.status.task_id] = message
        elif isinstance(message, NoteOffers | NoteRescinded):
            self._heard.append((framework_id, message))

    def _news(self, kind: type[Note], names: Iterable[str]) -> dict[str, list[Note]]:
        """What these have heard of the kind since anybody was last asked for it."""
        ids = {self._cluster.framework_named(name): name for name in names}
        news: dict[str, list[Note]] = {name: [] for name in names}
        for framework_id, note in self._heard:
            if isinstance(note, kind) and framework_id in ids:
                news[ids[framework_id]].append(note)
        self._heard = [entry for entry in self._heard if not isinstance(entry[1], kind)]
        return news

    def offers_are_no_news(self) -> None:
        """From now on those that come are."""
        self._news(NoteOffers, ())

    def expect_rescinded(self, counts: Mapping[str, float]) -> str:
        """So many offers were taken back since this was last asked."""
        return _told(counts, {name: len(notes) for name, notes in self._news(NoteRescinded, counts).items()})

    def expect_offers_to(self, counts: Mapping[str, float]) -> str:
        """Offers of so many agents came since this was last asked."""
        news = self._news(NoteOffers, counts)
        agents = {name: agents_of(offer for note in notes for offer in note.offers) for name, notes in news.items()}
        return _told(counts, {name: len(found) for name, found in agents.items()})

    def expect_task_update(self, framework_id: str, task_id: TaskId, state: str, reason: str | None = None) -> str:
        """The newest one that the framework heard."""
        note = self._statuses.get((self._cluster.framework_named(framework_id), task_id))
        if note is None:
            return f"{framework_id} has heard nothing of {task_id}"
        seen = {"state": f"TASK_{note.status.state.name}", "reason": getattr(note.status.reason, "name", "")}
        return _told({"state": state, "reason": seen["reason"] if reason is None else reason}, seen)

    def expect_agent(self, agent_id: AgentId, state: str) -> str:
        """`registered`, `unreachable`, `gone` or `unknown`."""
        entry = self._cluster.state.agents.get(agent_id)
        known = "unknown" if entry is None else _AGENT_STATES.get(entry.state, "registered")
        return _told({"state": state}, {"state": "gone" if agent_id in self._cluster.state.gone_agent_ids else known})

    def expect_framework(self, framework_id: str, state: str) -> str:
        """`registered`, `disconnected`, `completed` or `unknown`."""
        entry = self._cluster.state.framework(self._cluster.framework_named(framework_id))
        known = "unknown" if entry is None else _FRAMEWORK_STATES.get(entry.state, "disconnected")
        return _told({"state": state}, {"state": known})

    def expect_weights(self, weights: Mapping[str, float]) -> str:
        """By role."""
        return _told(weights, {role: self._role(role)["weight"] for role in weights})

    def expect_quota(self, quota: Mapping[str, object]) -> str:
        """`role`, `guarantees` and `limits`; what is not said is none."""
        return _told({"guarantees": {}, "limits": {}, **quota}, self._role(str(quota.get("role"))))

    def expect_role(self, view: Mapping[str, object]) -> str:
        """`role`, and of what the master shows of it whatever is said."""
        return _told(view, self._role(str(view.get("role"))))

    def _role(self, role: str) -> dict[str, object]:
        view = role_view(self._cluster.state, role)
        used = _units(view.used.quantities_milli())
        return {
            "role": view.role,
            "weight": view.weight_milli / MILLI,
            "frameworks": list(view.framework_ids),
            "used": used,
            "allocated": used,
            "offered": _units(view.offered.quantities_milli()),
            "consumed": _units(view.consumed_milli),
            "reserved": _units(view.reserved_milli),
            "guarantees": _units(view.quota.guarantees_milli),
            "limits": _units(view.quota.limits_milli),
        }
