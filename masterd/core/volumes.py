"""What agents are told of their persistent volumes, and what they say of them.

An agent is told all its volumes, and each DESTROY until it has confirmed it; it never concludes from a volume's absence that it
may go. A master without its registry, or an agent that is configured with less, costs nobody what is on the disk.
"""

from __future__ import annotations

from masterd.core.effects import TellVolumes
from masterd.core.events import VolumesFound, VolumesRemoved
from masterd.core.state import AgentEntry, Turn
from paddock.model.resources import Resources
from paddock.model.volumes import DestroyedVolume, keys_of, volumes_of


def destroyed_by(turn: Turn, agent: AgentEntry, before: Resources) -> None:
    """Of the agent's volumes that were there before, those that are not any more are to go from its disk. Not yet durable."""
    after = keys_of(agent.info.resources)
    for key in keys_of(before):
        if key not in after:
            turn.state.destroy_count += 1
            # The epoch and the clock tell it from all that earlier lives of this master, or another registry, have given.
            destroy_id = f"{turn.state.master.epoch}-{turn.wall_ns}-{turn.state.destroy_count}"
            agent.destroyed[destroy_id] = DestroyedVolume(destroy_id=destroy_id, volume=key)


def tell(turn: Turn, agent: AgentEntry, before: Resources) -> None:
    """When an operation has changed them; after it is durable. An agent that is away is told when it is back."""
    volumes = volumes_of(agent.info.resources)
    if volumes != volumes_of(before):
        turn.tell(agent, TellVolumes(volumes=volumes, destroyed=tuple(agent.destroyed.values())))


def removed(agent: AgentEntry, event: VolumesRemoved) -> bool:
    """Whether anything is confirmed that was not: an agent says it again until it is told no more."""
    found = [destroy_id for destroy_id in event.destroy_ids if destroy_id in agent.destroyed]
    for destroy_id in found:
        del agent.destroyed[destroy_id]
    return bool(found)


def found(agent: AgentEntry, event: VolumesFound) -> None:
    """As the agent last said."""
    agent.volume_problems = dict(event.troubled)
    agent.unknown_volumes = event.unknown
