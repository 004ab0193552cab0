"""Several containerizers as one: each container goes to the one of its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentd.containerizer.contract import Containerizer, ExecSession, Post, Restored
from agentd.core.events import Concluded, PrepareRefused, Resized
from agentd.core.exit_record import ExitRecord
from agentd.docker.state import EngineState
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.errors import NotFound, Unavailable, Unsupported
from paddock.model.ids import ContainerId
from paddock.model.statistics import EffectiveLimit, ResourceStatistics
from paddock.model.task import CommandInfo, ContainerType, Evidence, LaunchFailure


class ComposingContainerizer(Containerizer):
    """A type that nobody serves is refused by name before anything is made."""

    def __init__(
        self, members: Mapping[ContainerType, Containerizer], post: Post, supervisor: Containerizer | None = None
    ) -> None:
        """By the type that each serves. `supervisor`: who holds the processes of all of them, itself a member or not."""
        self._members = dict(members)
        self._post = post
        self._supervisor = supervisor
        others = [member for member in dict.fromkeys(members.values()) if member is not supervisor]
        self._in_order = (*others, supervisor) if supervisor is not None else tuple(others)
        self._owners: dict[ContainerId, Containerizer] = {}
        self._unserved: dict[ContainerId, ContainerType] = {}
        """Whose type is served no more: the supervisor holds what stands for them, and knows nothing of what that is.
        None is native.
        """

    async def start(self) -> None:
        """All of them."""
        for member in self._in_order:
            await member.start()

    async def recover(self, restored: Sequence[Restored]) -> None:
        """Each gets its own, and then the supervisor all: also those of a type that is served no more."""
        for each in restored:
            config = each.container.config
            owner = self._members.get(config.container.type, self._supervisor)
            if owner is not None:
                self._owners[config.container_id] = owner
            # What stands for a native container is the container: whoever holds it reaches into it as well.
            if config.container.type not in {*self._members, ContainerType.NATIVE}:
                self._unserved[config.container_id] = config.container.type
        for member in self._in_order:
            is_all = member is self._supervisor
            own = [
                each for each in restored if is_all or self._owners.get(each.container.config.container_id) is member
            ]
            await member.recover(own)

    def prepare(self, config: ContainerConfig) -> None:
        """By its type."""
        member = self._members.get(config.container.type)
        if member is None:
            served = ", ".join(container_type.value for container_type in self._members)
            error = Unsupported(f"container.type = {config.container.type.value}", f"this agent runs {served}")
            failure = LaunchFailure(stage="validate", message=str(error))
            self._post(PrepareRefused(container_id=config.container_id, failure=failure, error=error))
            return
        self._owners[config.container_id] = member
        member.prepare(config)

    def fetch(self, config: ContainerConfig) -> None:
        """See the contract."""
        self._owner(config.container_id).fetch(config)

    def cancel_fetch(self, container_id: ContainerId) -> None:
        """See the contract. A stop may come before anybody has the container."""
        owner = self._owners.get(container_id)
        if owner is not None:
            owner.cancel_fetch(container_id)

    def launch(self, container_id: ContainerId) -> None:
        """See the contract."""
        self._owner(container_id).launch(container_id)

    def watch(self, container_id: ContainerId) -> None:
        """See the contract."""
        self._owner(container_id).watch(container_id)

    def look(self, container_id: ContainerId) -> None:
        """See the contract."""
        self._owner(container_id).look(container_id)

    def kill(self, container_id: ContainerId, signal: int, grace_ms: int) -> None:
        """See the contract."""
        self._owner(container_id).kill(container_id, signal, grace_ms)

    def find_holders(self, container_id: ContainerId) -> None:
        """See the contract."""
        self._owner(container_id).find_holders(container_id)

    def resize(self, config: ContainerConfig) -> None:
        """See the contract."""
        try:
            self._whole(config.container_id).resize(config)
        except Unavailable as error:
            self._post(Resized(container_id=config.container_id, error=error))

    async def check_resize(self, config: ContainerConfig) -> None:
        """See the contract."""
        await self._whole(config.container_id).check_resize(config)

    def conclude(self, config: ContainerConfig, record: ExitRecord | None, *, launched: bool) -> None:
        """See the contract. What nobody ever had leaves nothing."""
        owner = self._owners.get(config.container_id)
        if owner is None:
            self._post(Concluded(container_id=config.container_id, evidence=Evidence()))
        else:
            owner.conclude(config, record, launched=launched)

    def discard(self, container_id: ContainerId) -> None:
        """The last that is heard of it."""
        owner = self._owners.pop(container_id, None)
        self._unserved.pop(container_id, None)
        if owner is not None:
            owner.discard(container_id)

    async def usage(self, container_ids: Sequence[ContainerId]) -> list[ResourceStatistics]:
        """In the order asked; nothing of a container that is gone."""
        found: dict[ContainerId, ResourceStatistics] = {}
        for member in self._in_order:
            own = [container_id for container_id in container_ids if self._owners.get(container_id) is member]
            if own:
                found.update(zip(own, await member.usage(own), strict=True))
        return [found.get(container_id, ResourceStatistics()) for container_id in container_ids]

    async def limits(self, container_id: ContainerId) -> tuple[EffectiveLimit, ...]:
        """Nothing for a container that is gone."""
        owner = self._owners.get(container_id)
        return await owner.limits(container_id) if owner is not None else ()

    async def execute(self, container_id: ContainerId, command: CommandInfo, user: UserIdentity) -> ExecSession:
        """See the contract."""
        return await self._whole(container_id).execute(container_id, command, user)

    def engines(self) -> Mapping[str, EngineState]:
        """All of them."""
        return {name: state for member in self._in_order for name, state in member.engines().items()}

    async def stop(self) -> None:
        """All of them."""
        for member in self._in_order:
            await member.stop()

    def _owner(self, container_id: ContainerId) -> Containerizer:
        owner = self._owners.get(container_id)
        if owner is None:
            raise NotFound("container", container_id)
        return owner

    def _whole(self, container_id: ContainerId) -> Containerizer:
        """Its owner, who reaches into the container itself: what stands for it is in the host's namespaces."""
        unserved = self._unserved.get(container_id)
        if unserved is not None:
            words = f"it can be seen and killed; for the rest start agentd with --containerizers={unserved.value},…"
            raise Unavailable(f"container {container_id} is {unserved.value}'s, which this agent runs no more: {words}")
        return self._owner(container_id)
