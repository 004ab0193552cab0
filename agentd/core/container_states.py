"""A container's states: one enum of what can happen to it, one table of what follows."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType

from paddock.model.container import ContainerState as State
from paddock.model.errors import InvalidTransition
from paddock.model.ids import ContainerId


class ContainerInput(Enum):
    """What can happen to a container."""

    PREPARED = "prepared"
    """Every isolator has planned; nothing was visible so far."""
    PREPARED_TO_FETCH = "prepared, with URIs"
    """The same, and its command wants something fetched first."""
    FETCHED = "fetched"
    """All of it is in the sandbox, or something could not be fetched while the container was being ended anyway."""
    REFUSED = "refused"
    """An isolator, or the sandbox, refused: there will be no launch."""
    STARTED = "started"
    """The command exists."""
    FAILED = "failed"
    """The launch stopped at some stage; nothing half-made remains."""
    STOP = "stop"
    """A kill was asked for, or a fatal limit was met."""
    ENDED = "ended"
    """The command's end is known, or that nobody knows it."""
    HELD = "held"
    """The kernel still holds something of it."""
    RELEASED = "released"
    """Nothing of it remains, and its isolators have forgotten it."""


TABLE = MappingProxyType(
    {
        (State.PREPARING, ContainerInput.PREPARED): State.LAUNCHING,
        (State.PREPARING, ContainerInput.PREPARED_TO_FETCH): State.FETCHING,
        (State.PREPARING, ContainerInput.REFUSED): State.DESTROYING,
        # Clean-up must not race the isolators' preparation: PREPARED or REFUSED follows, and then the clean-up.
        (State.PREPARING, ContainerInput.STOP): State.DESTROYING,
        (State.PREPARING, ContainerInput.ENDED): State.DESTROYING,
        (State.FETCHING, ContainerInput.FETCHED): State.LAUNCHING,
        (State.FETCHING, ContainerInput.FAILED): State.DESTROYING,
        # The clean-up must not race what writes into the sandbox: FETCHED or FAILED follows, and then the clean-up.
        (State.FETCHING, ContainerInput.STOP): State.DESTROYING,
        (State.LAUNCHING, ContainerInput.STARTED): State.RUNNING,
        (State.LAUNCHING, ContainerInput.FAILED): State.DESTROYING,
        (State.LAUNCHING, ContainerInput.STOP): State.DESTROYING,
        (State.LAUNCHING, ContainerInput.ENDED): State.DESTROYING,
        (State.LAUNCHING, ContainerInput.HELD): State.STUCK,
        (State.RUNNING, ContainerInput.STOP): State.DESTROYING,
        (State.RUNNING, ContainerInput.ENDED): State.DESTROYING,
        # Its shim is gone, and the kernel does not let go of the rest.
        (State.RUNNING, ContainerInput.HELD): State.STUCK,
        # What was under way when the stop came still reports.
        (State.DESTROYING, ContainerInput.PREPARED): State.DESTROYING,
        (State.DESTROYING, ContainerInput.PREPARED_TO_FETCH): State.DESTROYING,
        (State.DESTROYING, ContainerInput.FETCHED): State.DESTROYING,
        (State.DESTROYING, ContainerInput.REFUSED): State.DESTROYING,
        (State.DESTROYING, ContainerInput.STARTED): State.DESTROYING,
        (State.DESTROYING, ContainerInput.FAILED): State.DESTROYING,
        (State.DESTROYING, ContainerInput.STOP): State.DESTROYING,
        (State.DESTROYING, ContainerInput.ENDED): State.DESTROYING,
        (State.DESTROYING, ContainerInput.HELD): State.STUCK,
        (State.DESTROYING, ContainerInput.RELEASED): State.TERMINATED,
        (State.STUCK, ContainerInput.STARTED): State.STUCK,
        (State.STUCK, ContainerInput.FAILED): State.DESTROYING,
        (State.STUCK, ContainerInput.STOP): State.STUCK,
        (State.STUCK, ContainerInput.ENDED): State.DESTROYING,
        (State.STUCK, ContainerInput.HELD): State.STUCK,
        (State.STUCK, ContainerInput.RELEASED): State.TERMINATED,
        # A kill that comes too late is no error.
        (State.TERMINATED, ContainerInput.STOP): State.TERMINATED,
    }
)


def next_state(container_id: ContainerId, state: State, happened: ContainerInput) -> State:
    """The table's answer. Raises InvalidTransition where it has none."""
    following = TABLE.get((state, happened))
    if following is None:
        raise InvalidTransition(f"container {container_id}", state.name, happened.name)
    return following
