"""What a shim keeps of its plan after the start: the rest, environment and all, goes."""

from __future__ import annotations

from paddock.launch.log_limits import LogLimits
from paddock.launch.plan import CgroupPlace, CgroupRead, KillPolicy
from paddock.launch.protocol import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from paddock.launch.launch_list import LaunchList
    from paddock.launch.plan import Plan

    class SummaryFields(TypedDict):
        """As `summary_json` makes them."""

        agent_id: str
        container_id: str
        record: str
        socket: str
        sandbox: str
        program: str
        namespaces: list[str]
        cgroup: tuple[str, dict[str, str]]
        final_reads: list[tuple[str, str]]
        oom_events: tuple[str, str] | None
        kill: tuple[int, int]
        log_limits: tuple[int, int]
        max_completion_ms: int | None
        barrier: bool
        stand_in: bool
        optional: list[tuple[str, str, str, int, int]]
        opened_logs: list[tuple[str, int]]
        allocated: int


class Summary:
    """Small, because a thousand shims hold one each. It was checked with the plan from which it was made.

    `optional`: (controller, file, value, the steps that open and write it); `opened_logs`: (name, the step that opens it);
    `allocated`: the step that takes the record's space.
    """

    __slots__ = (
        "agent_id",
        "allocated",
        "barrier",
        "cgroup",
        "container_id",
        "final_reads",
        "kill",
        "log_limits",
        "max_completion_ms",
        "namespaces",
        "oom_events",
        "opened_logs",
        "optional",
        "program",
        "record",
        "sandbox",
        "socket",
        "stand_in",
    )

    def __init__(self, fields: SummaryFields) -> None:
        try:
            self.agent_id = fields["agent_id"]
            self.container_id = fields["container_id"]
            self.record = fields["record"]
            self.socket = fields["socket"]
            self.sandbox = fields["sandbox"]
            self.program = fields["program"]
            self.namespaces = tuple(fields["namespaces"])
            self.cgroup = CgroupPlace(*fields["cgroup"])
            self.final_reads = tuple([CgroupRead(*read) for read in fields["final_reads"]])
            oom_events = fields["oom_events"]
            self.oom_events = None if oom_events is None else CgroupRead(*oom_events)
            self.kill = KillPolicy(*fields["kill"])
            self.log_limits = LogLimits(*fields.get("log_limits", (0, 1)))
            self.max_completion_ms = fields["max_completion_ms"]
            self.barrier = fields["barrier"]
            self.stand_in = fields.get("stand_in", False)
            self.optional = fields["optional"]
            self.opened_logs = fields["opened_logs"]
            self.allocated = fields["allocated"]
        except (KeyError, TypeError) as error:
            raise ProtocolError("plan", f"its summary is none: {error}") from None


def summary_json(plan: Plan, made: LaunchList) -> dict[str, object]:
    """The part of the plan, and of the list made from it, that outlives the start."""
    oom_events = plan.oom_events
    return {
        "agent_id": plan.agent_id,
        "container_id": plan.container_id,
        "record": plan.record,
        "socket": plan.socket,
        "sandbox": plan.sandbox,
        "program": plan.command.argv[0][:256],
        "namespaces": plan.namespaces,
        "cgroup": (plan.cgroup.mode, plan.cgroup.directories),
        "final_reads": [(read.controller, read.file) for read in plan.final_reads],
        "oom_events": None if oom_events is None else (oom_events.controller, oom_events.file),
        "kill": (plan.kill.signal, plan.kill.grace_ms),
        "log_limits": (plan.log_limits.file_bytes, plan.log_limits.file_count),
        "max_completion_ms": plan.max_completion_ms,
        "barrier": plan.barrier,
        "stand_in": plan.stand_in,
        "optional": [(write.controller, write.file, write.value, *steps) for write, *steps in made.optional],
        "opened_logs": list(zip((plan.stdout, plan.stderr), made.opened_logs, strict=True)),
        "allocated": made.allocated,
    }
