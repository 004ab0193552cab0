"""What a shim keeps of its plan after the start: the rest, environment and all, goes."""

from __future__ import annotations

from paddock.launch.log_limits import LogLimits
from paddock.launch.plan import CgroupPlace, CgroupRead, KillPolicy
from paddock.launch.protocol import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    class SummaryFields(TypedDict):
        """As `plan_file` makes them."""

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
