"""What is written down when a container has ended: counters, who was killed for memory, the record."""

from __future__ import annotations

import re

from paddock.kernel import kmsg, mounts
from paddock.launch import protocol
from paddock.launch.protocol import FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from paddock.launch.container_cgroup import ContainerCgroup
    from paddock.launch.plan import CgroupPlace, CgroupRead

_OOM_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_MAX_VICTIMS = 64
_SHORT_COUNTER_CHARACTERS = 256


class Ending:
    """The record in the making. `problems` collects the steps that failed; the later ones are done all the same."""

    __slots__ = ("counters", "launch_error", "problems", "victims")

    def __init__(self) -> None:
        self.counters: dict[str, str] = {}
        self.victims: list[dict[str, object]] | None = []
        self.launch_error: dict[str, object] | None = None
        self.problems: list[dict[str, object]] = []

    def note_problem(self, error: BaseException, operation: str = "", path: str = "") -> None:
        """One more step that failed."""
        self.problems.append(protocol.error_from(error, operation, path).to_json())

    def read_counters(self, cgroup: ContainerCgroup, reads: Iterable[CgroupRead]) -> None:
        """The last values, before the cgroups are removed."""
        for wanted in reads:
            try:
                self.counters[wanted.key] = cgroup.read(wanted)
            except OSError as error:
                self.note_problem(error)

    def find_victims(self, cgroup: ContainerCgroup, oom_events: CgroupRead | None, main_pid: int) -> None:
        """Whom the kernel killed for memory in this container: looked for only when its counter says that it did."""
        if oom_events is None:
            return
        try:
            content = self.counters.get(oom_events.key)
            found = _OOM_KILLS.search(cgroup.read(oom_events) if content is None else content)
        except OSError as error:
            self.note_problem(error)
            return
        if found is None or found[1] == "0":
            return
        place = cgroup.place
        directory = place.directories["" if cgroup.is_v2 else oom_events.controller]
        try:
            path = mounts.read_hierarchy().kernel_path(directory)
            kills = kmsg.oom_kills_in(kmsg.read_messages(), path)
        except OSError as error:
            self.victims = None
            self.note_problem(error)
            return
        self.victims = [
            {"pid": kill.pid, "comm": kill.comm, "main": kill.pid == main_pid} for kill in kills[:_MAX_VICTIMS]
        ]

    def shorten(self) -> None:
        """A full disk: keep the record within what was allocated at launch."""
        for key, content in self.counters.items():
            self.counters[key] = content[:_SHORT_COUNTER_CHARACTERS]
        self.problems = self.problems[:8]


class Identity:
    """Who the container is and who runs it: what a record and a note begin with."""

    __slots__ = (
        "agent_id",
        "boot_id",
        "container_id",
        "pid",
        "shim_pid",
        "shim_start_time_ticks",
        "start_time_ticks",
        "started_ns",
    )

    def __init__(self, agent_id: str, container_id: str, boot_id: str) -> None:
        self.agent_id = agent_id
        self.container_id = container_id
        self.boot_id = boot_id
        self.shim_pid = 0
        self.shim_start_time_ticks = 0
        self.pid = 0
        self.start_time_ticks = 0
        self.started_ns = 0

    def to_json(self) -> dict[str, object]:
        """The first fields of a record and of a note."""
        return {
            "format": FORMAT,
            "agent_id": self.agent_id,
            "container_id": self.container_id,
            "boot_id": self.boot_id,
            "shim_pid": self.shim_pid,
            "pid": self.pid,
            "start_time_ticks": self.start_time_ticks,
            "started_ns": self.started_ns,
        }


def build_record(
    identity: Identity,
    place: CgroupPlace,
    ending: Ending,
    *,
    ended_ns: int,
    wait_status: int | None,
    kill: dict[str, object] | None = None,
    max_completion_reached: bool = False,
    logs: dict[str, object] | None = None,
    supervisor_lost: bool = False,
) -> dict[str, object]:
    """The record, format 1."""
    return {
        **identity.to_json(),
        "cgroup": place.to_json(),
        "ended_ns": ended_ns,
        "wait_status": wait_status,
        "kill": kill,
        "max_completion_reached": max_completion_reached,
        "counters": ending.counters,
        "victims": ending.victims,
        "logs": logs or {"stdout_bytes": 0, "stderr_bytes": 0, "dropped_bytes": 0},
        "launch_error": ending.launch_error,
        "supervisor_lost": supervisor_lost,
        "problems": ending.problems,
    }
