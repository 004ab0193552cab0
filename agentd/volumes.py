"""The directories of an agent's persistent volumes: made, looked for, and put out of everybody's reach.

All that is above them is root's own, so no task can put anything in their place. What is in them is the tasks': nothing here
goes into them. Each step is durable when it returns.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from agentd.core.effects import ArrangeVolumes, RemoveVolume
from agentd.core.events import VolumeRemoved, VolumesArranged
from agentd.gc.places import SandboxPlaces
from agentd.isolation_thread import IsolationThread
from agentd.sandbox import make_parents
from paddock.kernel.paths import sync_directory
from paddock.model.errors import InvalidRequest
from paddock.model.ids import AgentId, check_id, check_role
from paddock.model.resources import DEFAULT_ROLE
from paddock.model.volumes import VolumeKey, volume_directory, volumes_root

_log = logging.getLogger(__name__)

_NOT_THERE = "its directory {} is not there: put back what was on it, or destroy the volume"


@dataclass(frozen=True, slots=True)
class VolumePlaces:
    """Blocking calls."""

    work_dir: str
    agent_id: AgentId

    @property
    def root(self) -> str:
        """Everything that is a volume of this agent."""
        return volumes_root(self.work_dir, self.agent_id)

    def directory(self, volume: VolumeKey) -> str:
        """Of one."""
        return volume_directory(self.root, volume)

    def make(self, volume: VolumeKey) -> None:
        """Nobody's but root's until a task has it. One that is there is taken as it is. Raises OSError."""
        path = self.directory(volume)
        parent = os.path.dirname(path)
        make_parents(parent)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not self.is_there(volume):
                raise NotADirectoryError(errno.ENOTDIR, "something else stands there", path) from None
        for above in (parent, *_above(parent, self.work_dir)):
            sync_directory(above)

    def is_there(self, volume: VolumeKey) -> bool:
        """As a directory of its own: a link is none."""
        try:
            return stat.S_ISDIR(os.lstat(self.directory(volume)).st_mode)
        except OSError:
            return False

    def unknown(self, known: Iterable[VolumeKey]) -> Iterator[VolumeKey]:
        """On the disk, and none of these. Where a role's name is a digest it stays one."""
        paths = {self.directory(volume) for volume in known}
        for role in sorted(_names(f"{self.root}/roles")):
            for name in sorted(_names(f"{self.root}/roles/{role}")):
                if f"{self.root}/roles/{role}/{name}" not in paths:
                    yield VolumeKey(role=role.lstrip(" ").replace(" ", "/"), persistence_id=name)

    def put_away(self, volume: VolumeKey, destroy_id: str) -> None:
        """Where the collector empties it. Nothing there: an earlier attempt came so far. Raises OSError: EBUSY for a mount."""
        removed = SandboxPlaces(work_dir=self.work_dir, agent_id=self.agent_id).removed
        path = self.directory(volume)
        os.makedirs(removed, mode=0o700, exist_ok=True)
        try:
            os.rename(path, f"{removed}/volume-{destroy_id}")
        except FileNotFoundError:
            return
        sync_directory(os.path.dirname(path))
        sync_directory(removed)


def _above(path: str, top: str) -> Iterator[str]:
    """The directories above it, up to the top one."""
    while path.startswith(f"{top}/"):
        path = os.path.dirname(path)
        yield path


def _can_be_told(volume: VolumeKey) -> bool:
    """Somebody else may have made directories here, with any names."""
    try:
        check_role(volume.role)
        check_id(volume.role.replace("/", ""), "role")
        check_id(volume.persistence_id, "persistence_id")
    except InvalidRequest:
        return False
    return volume.role != DEFAULT_ROLE


def _names(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


class VolumeKeeper:
    """Does it on the isolation thread, in order with what is prepared there: a launch finds what was made before it."""

    def __init__(
        self, places: VolumePlaces, thread: IsolationThread, post: Callable[[VolumesArranged | VolumeRemoved], None]
    ) -> None:
        """Touches nothing."""
        self._places = places
        self._thread = thread
        self._post = post

    def arrange(self, effect: ArrangeVolumes) -> None:
        """Answered, whatever the disk says."""
        self._thread.submit("volumes", lambda: self._arrange(effect), self._post, _not_arranged)

    def _arrange(self, effect: ArrangeVolumes) -> VolumesArranged:
        troubled: list[tuple[VolumeKey, str]] = []
        made = []
        for volume in effect.make:
            try:
                self._places.make(volume)
            except OSError as error:
                path = self._places.directory(volume)
                troubled.append((volume, f"its directory {path} cannot be made: {error.strerror}; look at --work-dir"))
            else:
                made.append(volume)
        missing = [volume for volume in effect.expect if not self._places.is_there(volume)]
        troubled += [(volume, _NOT_THERE.format(self._places.directory(volume))) for volume in missing]
        known = (*effect.make, *effect.expect, *effect.leaving)
        unknown = tuple(self._places.unknown(known))
        for volume, why in troubled:
            _log.warning("volume cannot be used", extra={"volume": str(volume), "error": why})
        for volume in unknown:
            extra = {"volume": str(volume), "path": self._places.directory(volume)}
            _log.warning("volume is not known to the master; it stays", extra=extra)
        return VolumesArranged(made=tuple(made), troubled=tuple(troubled), unknown=tuple(filter(_can_be_told, unknown)))

    def remove(self, effect: RemoveVolume) -> None:
        """Answered in any case."""
        destroy_id = effect.removal.destroy_id

        def failed(error: Exception) -> None:
            _log.warning("volume cannot be removed", extra={"volume": str(effect.removal.volume), "error": str(error)})
            self._post(VolumeRemoved(destroy_id=destroy_id, problem=str(error)))

        self._thread.submit(
            "volumes",
            lambda: self._places.put_away(effect.removal.volume, destroy_id),
            lambda _: self._post(VolumeRemoved(destroy_id=destroy_id)),
            failed,
        )


def _not_arranged(error: Exception) -> None:
    _log.error("the volumes' directories cannot be looked at", extra={"error": str(error)})
