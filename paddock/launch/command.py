"""Starts commands: the one of a launch is a child of its list, that of an exec gets a list of its own.

The child of a launch shares the shim's memory until it executes: nothing is copied, and no Python runs in it. An exec, and a
launch that waits at its barrier, have a memory of their own: the one must not be looked into on its way, the other's way may
be long.
"""

from __future__ import annotations

from paddock.kernel.call_list import INSTRUCTION_BYTES, result_in, result_of
from paddock.launch.command_list import CommandList, Surroundings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.host import Host
    from paddock.launch.launcher_facts import LauncherFacts
    from paddock.launch.plan import Command


class ExecList(CommandList):
    """One more command in a running container: nothing but the child. `failure`: where a failed clone goes on."""

    __slots__ = ("failure", "first")

    def __init__(self, command: Command, facts: LauncherFacts, surroundings: Surroundings) -> None:
        super().__init__(command, facts)
        child = self._add_child(command, surroundings)
        self.failure = self.named.fail = self.calls.land()
        self.calls.end(0)
        self.first = self.calls.here
        self.named.stage = "namespace"
        cloned = self._clone(surroundings, child)
        self.calls.end(result_of(cloned))


def start_exec(command: Command, surroundings: Surroundings, host: Host) -> tuple[int, int, ExecList]:
    """(pid, pidfd, the list by which it walks); what it meets is told on the status pipe. Raises KernelError."""
    made = ExecList(command, host.facts, surroundings)
    memory = made.to_bytes()
    pid = host.runner.run(memory, made.first)
    if not pid:
        failed = result_in(memory, made.failure) // INSTRUCTION_BYTES
        raise made.named.error(failed, -result_in(memory, failed))
    at = made.calls.size + made.pidfd[2]
    return pid, int.from_bytes(memory[at : at + 4], "little"), made
