"""The keys of Mesos' /metrics/snapshot that have something to say here, from the same look as our own metrics."""

from __future__ import annotations

from collections.abc import Mapping

from masterd.core.events import (
    Accept,
    Acknowledge,
    AgentRegistered,
    Decline,
    Event,
    Kill,
    Reconcile,
    Revive,
    StatusReported,
    Subscribe,
    Suppress,
    Teardown,
)
from masterd.core.summary import Summary
from masterd.core.tally import Tally
from masterd.core.views import AgentState, FrameworkState
from masterd.metrics import families
from masterd.metrics.roles import samples as role_samples
from masterd.metrics.samples import LIVE_STATES, Look
from paddock.metrics import mesos
from paddock.metrics.families import Family
from paddock.metrics.mesos import Snapshot
from paddock.model.task import TaskState

_MESSAGES: Mapping[type[Event], str] = {
    Subscribe: "messages_register_framework",
    Teardown: "messages_unregister_framework",
    AgentRegistered: "messages_register_slave",
    Accept: "messages_launch_tasks",
    Decline: "messages_decline_offers",
    Kill: "messages_kill_task",
    Revive: "messages_revive_offers",
    Suppress: "messages_suppress_offers",
    Reconcile: "messages_reconcile_tasks",
    StatusReported: "messages_status_update",
    Acknowledge: "messages_status_update_acknowledgement",
}
_MASTER_RESOURCES = ("cpus", "mem", "disk")
_QUOTA_WORDS: Mapping[Family, str] = {families.ROLE_GUARANTEE: "guarantee", families.ROLE_LIMIT: "limit"}


def snapshot(look: Look, *, uptime_s: float) -> Snapshot:
    """All keys."""
    amounts = look.summary.amounts
    found: Snapshot = {
        "master/elected": 1,
        "master/uptime_secs": uptime_s,
        "master/outstanding_offers": len(look.state.offers),
        "allocator/mesos/allocation_runs": look.meters.cycle_s.count,
        "registrar/registry_blocked": int(look.is_blocked),
    }
    found |= _parties(look.summary) | _tasks(look.summary, look.state.tally) | _messages(look)
    found |= mesos.amounts("master", amounts.total, amounts.used)
    for resource in _MASTER_RESOURCES:
        taken_milli = amounts.used.get(resource, 0) + amounts.offered.get(resource, 0)
        found[f"allocator/mesos/resources/{resource}/total"] = amounts.total.get(resource, 0) / 1000
        found[f"allocator/mesos/resources/{resource}/offered_or_allocated"] = taken_milli / 1000
    found |= mesos.timer("allocator/mesos/allocation_run_ms", look.meters.cycle_s)
    found |= mesos.timer("registrar/state_store_ms", look.meters.registry_s)
    return found | _roles(look) | mesos.host()


def _parties(summary: Summary) -> Snapshot:
    """Active and connected are the same here: an agent that is not offered is told by our own metrics, with the reason."""
    agents, frameworks = summary.agents, summary.frameworks
    connected = agents.get(AgentState.CONNECTED, 0)
    away = agents.get(AgentState.DISCONNECTED, 0) + agents.get(AgentState.RECOVERED, 0)
    subscribed = frameworks.get(FrameworkState.SUBSCRIBED, 0)
    missing = frameworks.get(FrameworkState.DISCONNECTED, 0) + frameworks.get(FrameworkState.RECOVERED, 0)
    return {
        "master/slaves_active": connected,
        "master/slaves_connected": connected,
        "master/slaves_inactive": away,
        "master/slaves_disconnected": away,
        "master/slaves_unreachable": agents.get(AgentState.UNREACHABLE, 0),
        "master/frameworks_active": subscribed,
        "master/frameworks_connected": subscribed,
        "master/frameworks_inactive": missing,
        "master/frameworks_disconnected": missing,
    }


def _tasks(summary: Summary, tally: Tally) -> Snapshot:
    """Live ones as they are, ended ones since the start."""
    found: Snapshot = {f"master/tasks_{state.name.lower()}": 0 for state in TaskState if state is not TaskState.UNKNOWN}
    for state in LIVE_STATES:
        if state is not TaskState.UNKNOWN:
            found[f"master/tasks_{state.name.lower()}"] = summary.tasks.get(state, 0)
    for (state, reason, source), count in tally.tasks_ended.items():
        found[f"master/tasks_{state.name.lower()}"] += count
        words = f"source_{_source(source.name)}/reason_{reason.name.lower() if reason is not None else 'unknown'}"
        found[f"master/task_{state.name.lower()}/{words}"] = count
    return found


def _source(name: str) -> str:
    """Mesos' word."""
    return "slave" if name == "AGENT" else name.lower()


def _messages(look: Look) -> Snapshot:
    events, refused = look.meters.events, look.meters.refused_events
    found: Snapshot = {f"master/{key}": events.get(kind, 0) + refused.get(kind, 0) for kind, key in _MESSAGES.items()}
    found["master/slave_registrations"] = events.get(AgentRegistered, 0)
    found["master/valid_status_updates"] = events.get(StatusReported, 0)
    found["master/invalid_status_updates"] = refused.get(StatusReported, 0)
    return found


def _roles(look: Look) -> Snapshot:
    found: Snapshot = {}
    for family, labels, value in role_samples(look.state, now_ns=look.now_ns, limit_count=look.role_limit_count):
        assert isinstance(value, int | float), "roles have no histograms"
        if family is families.ROLE_SHARE:
            found[f"allocator/mesos/roles/{labels[0]}/shares/dominant"] = value
        elif family in _QUOTA_WORDS:
            role, resource = labels
            found[f"allocator/mesos/quota/roles/{role}/resources/{resource}/{_QUOTA_WORDS[family]}"] = value
    return found
