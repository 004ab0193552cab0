"""Persistent volumes on the agent: their directories are made when the master has told of them, and go by its DESTROY only.

A directory is made first and written down then: one that is there already is taken as it is. A DESTROY is written down first
and carried out then, as often as it takes, and confirmed when that is written down too. So whoever dies in between, the
next one comes to the same end.
"""

from __future__ import annotations

from agentd.core.durable import VolumeGone, VolumesMade, VolumesTold
from agentd.core.effects import ArrangeVolumes, RemoveVolume, SendVolumesFound, SendVolumesRemoved
from agentd.core.events import MasterVolumes, VolumeRemoved, VolumesArranged
from agentd.core.state import AgentState
from agentd.core.turn import Turn
from paddock.model.resources import Resources
from paddock.model.volumes import keys_of

REMOVE_AGAIN_NS = 60 * 10**9
"""Between two attempts at what cannot be removed (somebody has mounted something on it)."""


def told(turn: Turn, event: MasterVolumes) -> None:
    """The master's whole list. Told again it changes nothing, but the disk is looked at, and the answer is given again."""
    book = turn.state.volumes
    if not book.says(event.volumes, event.destroyed):
        turn.commit(VolumesTold(volumes=event.volumes, destroyed=event.destroyed))
    _confirm(turn)
    arrange(turn)
    remove_due(turn)


def arrange(turn: Turn) -> None:
    """Make what was never there, and look at the rest."""
    book = turn.state.volumes
    turn.effects.append(
        ArrangeVolumes(
            make=tuple(book.to_make()),
            expect=tuple(book.made),
            leaving=tuple(removal.volume for removal in book.pending()),
        )
    )


def arranged(turn: Turn, event: VolumesArranged) -> None:
    """What was made is written down before any container's launch that uses it; nobody waits for it."""
    book = turn.state.volumes
    leaving = {removal.volume for removal in book.pending()}
    made = tuple(key for key in event.made if key in book.told and key not in leaving and key not in book.made)
    if made:
        turn.commit(VolumesMade(volumes=made), relaxed=True)
    book.troubled = {key: why for key, why in event.troubled if key in book.told}
    book.unknown = event.unknown
    if turn.state.connected:
        turn.effects.append(SendVolumesFound(troubled=tuple(book.troubled.items()), unknown=book.unknown))


def remove_due(turn: Turn) -> None:
    """Each DESTROY whose volume no container has any more."""
    book = turn.state.volumes
    pending = book.pending()
    if not pending:
        return  # as after nearly every end: the containers are not looked through
    in_use = {key for container in turn.state.live() for key in keys_of(container.config.resources)}
    for removal in pending:
        if removal.volume not in in_use and removal.destroy_id not in book.removing:
            book.removing.add(removal.destroy_id)
            turn.effects.append(RemoveVolume(removal=removal))


def removed(turn: Turn, event: VolumeRemoved) -> None:
    """Out of everybody's reach; or not, and then it is tried again."""
    book = turn.state.volumes
    book.removing.discard(event.destroy_id)
    if event.destroy_id not in book.removals or event.destroy_id in book.gone:
        return
    if event.problem:
        book.retry_at_ns = turn.now_ns + REMOVE_AGAIN_NS
        turn.wake_at(book.retry_at_ns)
        return
    turn.commit(VolumeGone(destroy_id=event.destroy_id))
    _confirm(turn)
    if book.to_make():
        arrange(turn)


def retry_removals(turn: Turn) -> None:
    """When their time has come."""
    retry_at_ns = turn.state.volumes.retry_at_ns
    if retry_at_ns is not None and retry_at_ns <= turn.now_ns:
        turn.state.volumes.retry_at_ns = None
        remove_due(turn)
    elif retry_at_ns is not None:
        turn.wake_at(retry_at_ns)


def _confirm(turn: Turn) -> None:
    gone = tuple(turn.state.volumes.gone)
    if gone and turn.state.connected:
        turn.effects.append(SendVolumesRemoved(destroy_ids=gone))


def find_problem(state: AgentState, resources: Resources) -> str:
    """Why a task cannot have the volumes among its resources; empty: it can."""
    book = state.volumes
    leaving = {removal.volume for removal in book.pending()}
    for key in keys_of(resources):
        if key not in book.told:
            return f"volume {key}: the master has not told this agent of it"
        if key in leaving:
            return f"volume {key}: an earlier one of its name is still being removed; try again"
        if key in book.troubled:
            return f"volume {key}: {book.troubled[key]}"
    return ""
