"""What a shim keeps of its plan after the start: the rest, environment and all, goes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.plan import CgroupPlace, CgroupRead, KillPolicy, Plan


class Summary:
    """What a shim must know of its plan after the start: small, because a thousand shims hold one each."""

    __slots__ = (
        "agent_id",
        "cgroup",
        "container_id",
        "final_reads",
        "kill",
        "max_completion_ms",
        "namespaces",
        "oom_events",
        "program",
        "record",
        "sandbox",
        "socket",
    )

    agent_id: str
    container_id: str
    cgroup: CgroupPlace
    final_reads: tuple[CgroupRead, ...]
    kill: KillPolicy
    max_completion_ms: int | None
    namespaces: tuple[str, ...]
    oom_events: CgroupRead | None
    program: str
    record: str
    sandbox: str
    socket: str


def summary_of(plan: Plan) -> Summary:
    """The part of the plan that outlives the start."""
    summary = Summary()
    for name in Summary.__slots__:
        if name != "program":
            setattr(summary, name, getattr(plan, name))
    summary.program = plan.command.argv[0][:256]
    return summary
