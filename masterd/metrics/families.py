"""The families of a master's metrics, in the order in which they are told."""

from __future__ import annotations

from paddock.metrics.families import Family, counter, gauge, info, seconds

BUILD = info("masterd_build", "The version that runs.", "version")
MASTER = info("masterd_master", "Who this master is.", "master_id", "epoch")
READY = gauge("masterd_ready", "1 when /readyz says ready, else 0.")
EVENTS = counter("masterd_events", "What was handled, by its kind: calls, messages of agents, timers.", "event")
EVENTS_REFUSED = counter("masterd_events_refused", "What was refused, by its kind.", "event")
LOOP_LAG = seconds("masterd_event_loop_lag", "How much later than asked for a timer of the event loop came.")

CYCLE = seconds(
    "masterd_offer_cycle", "Processor and waiting time of one run of the allocator with all offers it made."
)
OFFERS_MADE = counter("masterd_offers_made", "Offers that were made.")
OFFERS_ENDED = counter("masterd_offers_ended", "Offers that ended, by how.", "outcome")
OFFERS = gauge("masterd_offers", "Offers that wait for an answer.")
RECOVERING = gauge("masterd_recovering", "1 while no offers are made because agents are still expected back, else 0.")

REGISTRY = seconds("masterd_registry_write", "From a group of records to its being on disk.")
REGISTRY_RECORDS = counter("masterd_registry_records", "Records that were written.")
BLOCKED = gauge("masterd_registry_blocked", "1 while nothing can be made durable, else 0.")

AGENTS = gauge("masterd_agents", "Agents by the state of their connection.", "state")
AGENTS_INACTIVE = gauge(
    "masterd_agents_not_offered", "Agents that are not offered, by why; one may have several reasons.", "reason"
)
AGENTS_PROBLEM = gauge("masterd_agents_with_problem", "Agents that say that they take no new work.")
FRAMEWORKS = gauge("masterd_frameworks", "Frameworks by state; of those that ended the remembered ones.", "state")

TASKS = gauge("masterd_tasks", "Tasks that have not ended, by state; those of agents out of reach too.", "state")
TASKS_LAUNCHED = counter("masterd_tasks_launched", "Tasks that were sent to their agent.")
TASKS_ENDED = counter(
    "masterd_tasks_ended",
    "Tasks that ended, or never began, by state, reason and who said so.",
    "state",
    "reason",
    "source",
)
STATUSES = counter(
    "masterd_status_updates", "Statuses that agents reported and the master said itself.", "state", "reason", "source"
)
UNACKNOWLEDGED = gauge("masterd_tasks_unacknowledged", "Tasks that ended and whose framework has not acknowledged it.")

CLUSTER = gauge(
    "masterd_resources",
    "What the cluster has, and who has it. In the resource's own unit: cpus, MiB for mem and disk, numbers of ports.",
    "resource",
    "part",
)
ROLE_ALLOCATED = gauge(
    "masterd_role_allocated",
    "What a role and those below it have of what is reserved for nobody, offers included. With what is reserved for them it is "
    "what counts against a quota.",
    "role",
    "resource",
)
ROLE_RESERVED = gauge("masterd_role_reserved", "What is reserved for a role and those below it.", "role", "resource")
ROLE_GUARANTEE = gauge("masterd_role_quota_guarantee", "What a role's quota guarantees.", "role", "resource")
ROLE_LIMIT = gauge("masterd_role_quota_limit", "What a role's quota allows.", "role", "resource")
ROLE_SHARE = gauge(
    "masterd_role_dominant_share", "A role's weighted dominant share: the one with the least is served first.", "role"
)
ROLE_STARVED = gauge(
    "masterd_role_starved_seconds",
    "Since when a role in which frameworks want offers has got none; 0 while it holds one. "
    "A framework that refused all there is counts as one that wants.",
    "role",
    unit="seconds",
)
ROLES_CUT = gauge("masterd_metrics_roles_cut", "Roles that have no metrics of their own, because there are too many.")

FAMILIES: tuple[Family, ...] = (
    BUILD,
    MASTER,
    READY,
    EVENTS,
    EVENTS_REFUSED,
    LOOP_LAG,
    CYCLE,
    OFFERS_MADE,
    OFFERS_ENDED,
    OFFERS,
    RECOVERING,
    REGISTRY,
    REGISTRY_RECORDS,
    BLOCKED,
    AGENTS,
    AGENTS_INACTIVE,
    AGENTS_PROBLEM,
    FRAMEWORKS,
    TASKS,
    TASKS_LAUNCHED,
    TASKS_ENDED,
    STATUSES,
    UNACKNOWLEDGED,
    CLUSTER,
    ROLE_ALLOCATED,
    ROLE_RESERVED,
    ROLE_GUARANTEE,
    ROLE_LIMIT,
    ROLE_SHARE,
    ROLE_STARVED,
    ROLES_CUT,
)
