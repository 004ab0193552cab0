"""Persistent volumes in a sandbox: each is a symbolic link at its container path, to the volume's own directory.

Why no mount on that path: the sandbox is its user's, who may put a link in the place of whatever stands there until the very
moment of the mount. A mount that follows it would lay what this user wrote over any file of the container's world, /etc with
its sudoers, say. A link is followed with the rights of who uses it. What can be mounted is the volume's directory onto
itself: all above it is root's. So a read-only volume is one by the kernel, in the container's mount namespace.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from paddock.kernel.paths import open_beneath
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.errors import ContainerizerError, InvalidRequest
from paddock.model.launch_plan import LaunchPlan, MountStep
from paddock.model.resources import DiskVolume, Resource
from paddock.model.volumes import (
    check_container_path,
    container_path,
    find_clash,
    key_of,
    volume_directory,
    volumes_of,
    volumes_root,
)

READ_ONLY = ("bind", "ro", "nosuid", "nodev")
"""A remount takes all flags anew: without the last two a volume on a disk mounted so would lose them."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def directories(container: ContainerConfig, work_dir: str) -> tuple[tuple[str, Resource], ...]:
    """Where each volume among the resources is on this host."""
    root = volumes_root(work_dir, container.agent_id)
    return tuple((volume_directory(root, key_of(volume)), volume) for volume in volumes_of(container.resources))


def check(container: ContainerConfig) -> None:
    """Raises InvalidRequest naming the field."""
    for index, resource in enumerate(container.resources):
        if resource.volume is not None:
            check_container_path(resource.volume, f"resources[{index}].volume.container_path")
    clash = find_clash(container.resources)
    if clash:
        raise InvalidRequest("resources", container.container_id, clash)


def plan(volumes: Sequence[tuple[str, Resource]]) -> LaunchPlan:
    """For the read-only ones."""
    paths = [path for path, resource in volumes if resource.volume is not None and resource.volume.read_only]
    return LaunchPlan(
        namespaces=("mnt",) if paths else (),
        mounts=tuple(MountStep(source=path, target=path, type="", flags=READ_ONLY) for path in paths),
    )


def give(container: ContainerConfig, path: str, volume: DiskVolume, *, is_used: bool) -> None:
    """Link it into the new sandbox; its directory becomes the user's, unless another container uses it just now or it is
    read-only. What is in it stays whose it is. Raises ContainerizerError.
    """
    try:
        _own(path, container.user, keep=is_used or volume.read_only)
    except OSError as error:
        raise _failure(
            container, f"volume {volume.persistence_id}: {path}: {error.strerror}; look at `paddock doctor`"
        ) from None
    place = container_path(volume)
    try:
        _link(container.sandbox, place, path, container.user)
    except OSError as error:
        message = f"volume {volume.persistence_id} cannot be put at {place} of the sandbox: {error.strerror}"
        raise _failure(container, message) from None


def _failure(container: ContainerConfig, message: str) -> ContainerizerError:
    return ContainerizerError(container.container_id, "volume", message)


def _own(path: str, user: UserIdentity, *, keep: bool) -> None:
    fd = os.open(path, _DIRECTORY)
    try:
        if not keep:
            os.fchown(fd, user.uid, user.gid)
    finally:
        os.close(fd)


def _link(sandbox: str, place: str, path: str, user: UserIdentity) -> None:
    """Nothing on the way is followed: other processes of the user reach the sandbox already."""
    *above, name = place.split("/")
    fd = os.open(sandbox, _DIRECTORY)
    try:
        for part in above:
            following = _step(fd, part, user)
            os.close(fd)
            fd = following
        os.symlink(path, name, dir_fd=fd)
    finally:
        os.close(fd)


def _step(fd: int, part: str, user: UserIdentity) -> int:
    """Into the directory, which is made for the user when it is not there."""
    try:
        os.mkdir(part, 0o755, dir_fd=fd)
    except FileExistsError:
        return open_beneath(fd, part, _DIRECTORY)
    following = open_beneath(fd, part, _DIRECTORY)
    os.fchown(following, user.uid, user.gid)
    return following
