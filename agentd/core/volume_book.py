"""What an agent remembers of its persistent volumes, and how each durable entry changes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentd.core.durable import VolumeGone, VolumesMade, VolumesTold
from paddock.model.resources import Resource, Resources
from paddock.model.volumes import DestroyedVolume, VolumeKey, keys_of


@dataclass(slots=True, kw_only=True)
class VolumeBook:
    """`made`: directories that were there once; one of these that is missing is never made anew. `removals`: DESTROYs that the
    master may tell again. `gone`: those of them that are carried out.
    """

    told: dict[VolumeKey, Resource] = field(default_factory=dict)
    made: dict[VolumeKey, None] = field(default_factory=dict)
    removals: dict[str, DestroyedVolume] = field(default_factory=dict)
    gone: dict[str, None] = field(default_factory=dict)
    counted: Resources = field(default_factory=Resources)
    """What they took off the agent's free resources."""
    troubled: dict[VolumeKey, str] = field(default_factory=dict)
    """Why a volume cannot be given to tasks. Not durable: looked for anew."""
    unknown: tuple[VolumeKey, ...] = ()
    """On the disk, and not told. Not durable."""
    removing: set[str] = field(default_factory=set)
    """Removals that are under way."""
    retry_at_ns: int | None = None
    """When a removal that failed is tried again."""

    def pending(self) -> list[DestroyedVolume]:
        """DESTROYs that are not carried out, the earliest first."""
        return [removal for destroy_id, removal in self.removals.items() if destroy_id not in self.gone]

    def to_make(self) -> list[VolumeKey]:
        """Volumes whose directories were never there. What is still to be removed under the same key goes first."""
        leaving = {removal.volume for removal in self.pending()}
        return [key for key in self.told if key not in self.made and key not in leaving]

    def says(self, volumes: Resources, destroyed: tuple[DestroyedVolume, ...]) -> bool:
        """Whether it has exactly this."""
        return self.told == keys_of(volumes) and tuple(self.removals.values()) == destroyed

    def apply(self, entry: VolumesTold | VolumesMade | VolumeGone) -> None:
        """Change it by this entry."""
        match entry:
            case VolumesTold():
                self._told(entry)
            case VolumesMade(volumes=keys):
                self.made |= dict.fromkeys(keys)
            case VolumeGone(destroy_id=destroy_id):
                self.gone[destroy_id] = None

    def _told(self, entry: VolumesTold) -> None:
        """A DESTROY that is new takes the directory of its key from us, also where a volume of that key is to be made anew.
        What is told no more was confirmed.
        """
        told = keys_of(entry.volumes)
        new = {each.volume for each in entry.destroyed if each.destroy_id not in self.removals}
        unfinished = {each.destroy_id: each for each in self.pending()}
        self.told = told
        self.made = {key: None for key in self.made if key in told and key not in new}
        self.removals = {**unfinished, **{each.destroy_id: each for each in entry.destroyed}}
        self.gone = {destroy_id: None for destroy_id in self.gone if destroy_id in self.removals}
        self.troubled = {key: why for key, why in self.troubled.items() if key in told and key not in new}
