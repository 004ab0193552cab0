"""What the agent keeps of long commands: all of it while the container may run, little for views and afterwards."""

from dataclasses import replace

import pytest

from agentd.core import ledger
from agentd.core.durable import ContainerEnded, ContainerLaunched
from agentd.core.state import COMMAND_SHOWN_BYTES, new_state
from paddock.model.container import Termination
from paddock.model.ids import ContainerId
from paddock.model.resource_text import parse_resources
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo, Evidence, Reason, TaskState
from tests.unit.agentd.core.made import AGENT, BOOT, TOTAL, config

MEBI = 2**20
LONG_COMMANDS = (
    CommandInfo(arguments=("/bin/true", *["ä" * 1000] * 500)),
    CommandInfo(arguments=("ä" * MEBI,)),
    CommandInfo(shell=True, value="ä" * MEBI),
    CommandInfo(arguments=("/bin/true",), environment=(("SECRET", "x" * MEBI),)),
)


def size_bytes(command: CommandInfo) -> int:
    words = (command.value, *command.arguments, *(word for pair in command.environment for word in pair))
    return sum(len(word.encode()) for word in words)


def ended(container_id: ContainerId) -> ContainerEnded:
    termination = Termination(
        wait_status=0, state=TaskState.FINISHED, reason=Reason.COMMAND_EXITED, message="", evidence=Evidence()
    )
    return ContainerEnded(
        container_id=container_id, pid=1, shim_pid=1, started_ns=1, ended_ns=2, termination=termination
    )


@pytest.mark.parametrize("command", LONG_COMMANDS)
def test_a_long_command_is_cut_for_views_and_forgotten_after_the_end(command: CommandInfo) -> None:
    state = new_state(agent_id=AGENT, boot_id=BOOT, total=TOTAL)
    launched = replace(config("c1"), command=command)
    ledger.apply(state, ContainerLaunched(config=launched, created_ns=1, boot_id=BOOT))
    entry = state.containers[launched.container_id]
    assert size_bytes(entry.view().config.command) <= COMMAND_SHOWN_BYTES
    assert entry.view().config.command.argv[0].startswith(command.argv[0][:100])
    assert entry.whole().config == launched

    ledger.apply(state, ended(launched.container_id))
    assert size_bytes(entry.whole().config.command) <= COMMAND_SHOWN_BYTES
    assert replace(entry.whole().config, command=command) == launched


def test_an_ordinary_command_stays_as_it_is() -> None:
    state = new_state(agent_id=AGENT, boot_id=BOOT, total=TOTAL)
    launched = replace(config("c1"), command=CommandInfo(arguments=("/bin/true",), environment=(("A", "b"),)))
    ledger.apply(state, ContainerLaunched(config=launched, created_ns=1, boot_id=BOOT))
    assert state.containers[launched.container_id].view().config == launched


def test_what_two_standalone_containers_share_stays_until_both_have_ended() -> None:
    """An agent that the operator made smaller cannot count all that lives on it, and may let another have the same port."""
    state = new_state(agent_id=AGENT, boot_id=BOOT, total=TOTAL)
    first, second = parse_resources("cpus:1;ports:[1-9]"), parse_resources("cpus:1;ports:[5-5]")
    for name, resources in (("c1", first), ("c2", second)):
        ledger.apply(state, ContainerLaunched(config=config(name, resources=resources), created_ns=1, boot_id=BOOT))
    assert state.standalone == parse_resources("cpus:2;ports:[1-9]")
    for name, left in (("c2", first), ("c1", Resources())):
        ledger.apply(state, ended(ContainerId(name)))
        assert state.standalone == left
