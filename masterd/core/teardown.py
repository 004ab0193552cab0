"""A framework that an operator ends: as if it had ended itself, also when it is not connected."""

from __future__ import annotations

from masterd.core import framework_events, tasks
from masterd.core.events import OperatorTeardown
from masterd.core.state import FrameworkEntry, MasterState, Turn
from masterd.core.transitions import FrameworkEvent
from paddock.model.errors import NotFound, PermissionRefused


def owned(state: MasterState, event: OperatorTeardown) -> FrameworkEntry:
    """The framework, when it is the caller's to end: its owner's, and root's."""
    framework = state.frameworks.get(event.framework_id)
    if framework is None:
        raise NotFound("framework", event.framework_id, "`paddock frameworks` lists them")
    if event.caller.uid not in {0, tasks.owner_uid(framework)}:
        owner = framework.info.principal or "nobody known"
        raise PermissionRefused(f"framework {event.framework_id} belongs to {owner}; ask as that user or as root")
    return framework


def teardown(turn: Turn, event: OperatorTeardown) -> None:
    """Its tasks are killed; those of agents that are away, when they are back."""
    framework_events.end(turn, owned(turn.state, event), FrameworkEvent.TEARDOWN)
