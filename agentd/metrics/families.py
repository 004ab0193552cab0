"""The families of an agent's metrics, in the order in which they are told."""

from __future__ import annotations

from paddock.metrics.families import Family, counter, gauge, info, seconds

BUILD = info("agentd_build", "The version that runs.", "version")
AGENT = info("agentd_agent", "Who this agent is, and which cgroups its host has.", "agent_id", "hostname", "cgroups")
READY = gauge("agentd_ready", "1 when /readyz says ready, else 0.")
EVENTS = counter("agentd_events", "What was handled, by its kind.", "event")
LOOP_LAG = seconds("agentd_event_loop_lag", "How much later than asked for a timer of the event loop came.")

MASTER_CONNECTED = gauge("agentd_master_connected", "1 while a master has this agent registered, else 0.")
MASTER_SINCE = gauge(
    "agentd_master_changed_timestamp_seconds",
    "When the master was connected or lost last, in seconds since 1970; 0: never.",
    unit="seconds",
)
MASTER_LOST = counter("agentd_master_lost", "How often a connection to the master ended.")

RESOURCES = gauge(
    "agentd_resources",
    "What the agent has, and what is free. In the resource's own unit: cpus, MiB for mem and disk, numbers of ports.",
    "resource",
    "part",
)
TASKS = gauge("agentd_tasks", "Tasks whose end nobody has acknowledged, by state.", "state")
UNACKNOWLEDGED = gauge(
    "agentd_status_updates_unacknowledged", "Statuses that are sent again until they are acknowledged."
)
CONTAINERS = gauge("agentd_containers", "Containers by state; of those that ended the remembered ones.", "state")
ENDED = counter(
    "agentd_containers_ended",
    "Containers that ended, by the state in which a task of them ends, and the reason.",
    "state",
    "reason",
)
UNHEALTHY = gauge("agentd_containers_unhealthy", "Running containers whose health check says no.")

LAUNCH = seconds(
    "agentd_launch",
    "Launches that came to a running command, and their stages: prepare (sandbox and plan), fetch, launch (launcher to "
    "command), total.",
    "stage",
)
ISOLATOR = seconds(
    "agentd_isolator", "What isolators took; usage of every sixteenth container.", "isolator", "operation"
)
ISOLATOR_ERRORS = counter(
    "agentd_isolator_errors", "What isolators raised, refusals included.", "isolator", "operation"
)
ISOLATION_QUEUE = gauge("agentd_isolation_calls_waiting", "Calls that wait for the isolation thread.")
ISOLATION_SLOW = counter("agentd_isolation_calls_slow", "Calls on the isolation thread of more than a second.")
CHECKPOINT = seconds("agentd_checkpoint", "From a group of entries to its being on disk.")
CHECKPOINT_BYTES = gauge(
    "agentd_checkpoint_log_bytes", "The log's size; it is compacted from time to time.", unit="bytes"
)
CHECKPOINT_BLOCKED = gauge("agentd_checkpoint_blocked", "1 while the log cannot be written, and no new work is taken.")

GC_SANDBOXES = counter("agentd_gc_sandboxes", "Sandboxes that were put away.")
GC_BYTES = counter("agentd_gc_bytes", "What removed sandboxes had on the disk.", unit="bytes")
GC_FAILURES = counter("agentd_gc_failures", "Looks at the disk that failed; the next may go better.")
FETCH_CACHE_BYTES = gauge("agentd_fetch_cache_bytes", "What is kept of what was fetched.", unit="bytes")
FETCH_CACHE_LIMIT = gauge("agentd_fetch_cache_limit_bytes", "How much may be kept.", unit="bytes")
FETCH_CACHE = counter(
    "agentd_fetch_cache_lookups", "Looks for a URI that a task wants cached, by whether it was there.", "result"
)

ENGINE = info(
    "agentd_engine", "What runs containers for the agent; its version, as it said it last.", "engine", "version"
)
ENGINE_REACHABLE = gauge(
    "agentd_engine_reachable", "1 while it answers, else 0: then tasks for it are refused.", "engine"
)
ENGINE_SINCE = gauge(
    "agentd_engine_changed_timestamp_seconds",
    "Since when it answers, or does not, in seconds since 1970.",
    "engine",
    unit="seconds",
)

CONTAINER = info(
    "agentd_container", "What a container is.", "container_id", "task_id", "framework_id", "name", "type", "user"
)
_OF = ("container_id", "task_id")
CPU = counter("agentd_container_cpu_seconds", "Processor time of a container.", *_OF, "mode", unit="seconds")
CPU_PERIODS = counter("agentd_container_cpu_periods", "Periods in which its limit was counted.", *_OF)
CPU_THROTTLED = counter("agentd_container_cpu_throttled_periods", "Periods in which it met its limit.", *_OF)
CPU_THROTTLED_TIME = counter(
    "agentd_container_cpu_throttled_seconds", "How long its threads waited for their limit.", *_OF, unit="seconds"
)
MEMORY = gauge(
    "agentd_container_memory_bytes",
    "Memory of a container: usage (all of it), anon, file, swap, working_set (usage without what can be given back), peak.",
    *_OF,
    "kind",
    unit="bytes",
)
MEMORY_LIMIT = gauge("agentd_container_memory_limit_bytes", "What its memory is limited to.", *_OF, unit="bytes")
OOM_KILLS = counter("agentd_container_oom_kills", "Its processes that the kernel killed for lack of memory.", *_OF)
PIDS = gauge("agentd_container_pids", "Its processes and threads.", *_OF)
PIDS_LIMIT = gauge("agentd_container_pids_limit", "How many it may have.", *_OF)
PIDS_REFUSED = counter("agentd_container_pids_refused", "Its forks and clones that met the limit.", *_OF)
DISK = gauge("agentd_container_disk_bytes", "What its sandbox and volumes have on the disk.", *_OF, unit="bytes")
DISK_LIMIT = gauge("agentd_container_disk_limit_bytes", "How much they may have.", *_OF, unit="bytes")
IO = counter(
    "agentd_container_io_bytes",
    "Read from and written to block devices. cgroup v2 only.",
    *_OF,
    "direction",
    unit="bytes",
)
PRESSURE = counter(
    "agentd_container_pressure_seconds",
    "How long some, or all, of its processes waited for a resource. cgroup v2 with PSI only.",
    *_OF,
    "resource",
    "waiting",
    unit="seconds",
)
CUT = gauge(
    "agentd_metrics_containers_cut",
    'Running containers without series of their own: they are summed under container_id="other". Its counters go back '
    "when one of them ends.",
)

FAMILIES: tuple[Family, ...] = (
    BUILD,
    AGENT,
    READY,
    EVENTS,
    LOOP_LAG,
    MASTER_CONNECTED,
    MASTER_SINCE,
    MASTER_LOST,
    RESOURCES,
    TASKS,
    UNACKNOWLEDGED,
    CONTAINERS,
    ENDED,
    UNHEALTHY,
    LAUNCH,
    ISOLATOR,
    ISOLATOR_ERRORS,
    ISOLATION_QUEUE,
    ISOLATION_SLOW,
    CHECKPOINT,
    CHECKPOINT_BYTES,
    CHECKPOINT_BLOCKED,
    GC_SANDBOXES,
    GC_BYTES,
    GC_FAILURES,
    FETCH_CACHE_BYTES,
    FETCH_CACHE_LIMIT,
    FETCH_CACHE,
    ENGINE,
    ENGINE_REACHABLE,
    ENGINE_SINCE,
    CONTAINER,
    CPU,
    CPU_PERIODS,
    CPU_THROTTLED,
    CPU_THROTTLED_TIME,
    MEMORY,
    MEMORY_LIMIT,
    OOM_KILLS,
    PIDS,
    PIDS_LIMIT,
    PIDS_REFUSED,
    DISK,
    DISK_LIMIT,
    IO,
    PRESSURE,
    CUT,
)
