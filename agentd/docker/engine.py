"""The Docker engine, as the containerizer asks it: every verb has a deadline, and an error of ours for whatever goes wrong.

Raised by any verb: EngineUnresponsive (whether it had its effect is not known), EngineAbsent, EngineFailure. None blocks the
event loop, and each costs at most its deadline, nothing at all while the engine is known not to answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from agentd.docker.answers import (
    EngineContainer,
    EngineExec,
    EngineImage,
    ListedContainer,
    container_from,
    created_from,
    exec_from,
    image_from,
    list_from,
)
from agentd.docker.calls import Calls
from agentd.docker.events import open_counted
from agentd.docker.exec_stream import ExecStream
from agentd.docker.failures import RemovalUnderWay, unresponsive
from agentd.docker.parameters import Body
from agentd.docker.streams import Request
from paddock.model.errors import NotFound
from paddock.model.image import ImageReference

_LOOK_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecOrder:
    """What is to run in a container. `user` empty: the container's own."""

    arguments: tuple[str, ...]
    environment: tuple[str, ...] = ()
    user: str = ""
    working_directory: str = ""


@dataclass(frozen=True, slots=True)
class DockerEngine:
    """A container is named by the engine's id or by its name."""

    calls: Calls

    async def inspect(self, container: str) -> EngineContainer:
        """Raises NotFound."""
        call = self.calls.call("inspect", "container", container)
        found: object = await self.calls.look(call, lambda client: client.inspect_container(container))
        return container_from(found)

    async def inspect_image(self, image: ImageReference) -> EngineImage:
        """One that the engine has. Raises NotFound."""
        call = self.calls.call("inspect", "image", image.canonical)
        found = await self.calls.look(call, lambda client: client.image(image.canonical))
        return image_from(found)

    async def list_containers(self, labels: Mapping[str, str]) -> tuple[ListedContainer, ...]:
        """All that have these labels, whatever their state."""
        wanted = [f"{name}={value}" for name, value in labels.items()]
        call = self.calls.call("list", "containers with", ", ".join(wanted))
        found: object = await self.calls.look(
            call, lambda client: client.containers(all=True, filters={"label": wanted})
        )
        return list_from(found)

    async def create(self, name: str, body: Body) -> tuple[str, tuple[str, ...]]:
        """The engine's id for it, and its warnings. Raises AlreadyExists naming whose the name is, NotFound for the image or a
        network, InvalidRequest.
        """
        call = self.calls.call("create", "container", name)
        found = await self.calls.change(call, lambda client: client.create(name, body))
        return created_from(found)

    async def remove(self, container: str) -> bool:
        """Running or not, with the volumes that have no name. False: it is not there, or somebody removes it already."""
        call = self.calls.call("remove", "container", container)
        try:
            await self.calls.change(call, lambda client: client.remove(container))
        except (NotFound, RemovalUnderWay):
            return False
        return True

    async def update(self, container: str, limits: Body) -> None:
        """The limits of a running container, in the words of HostConfig. Raises NotFound, InvalidRequest."""
        call = self.calls.call("change the limits of", "container", container)
        deadline_s = self.calls.limits.update_s
        await self.calls.change(call, lambda client: client.update_limits(container, limits), deadline_s=deadline_s)

    async def create_exec(self, container: str, order: ExecOrder) -> str:
        """The engine's id for it; nothing runs yet. Raises NotFound, ContainerNotRunning."""
        call = self.calls.call("run a command in", "container", container)
        found: object = await self.calls.look(
            call,
            lambda client: client.exec_create(
                container,
                list(order.arguments),
                stdin=True,
                environment=list(order.environment),
                user=order.user,
                workdir=order.working_directory or None,
            ),
        )
        return created_from(found)[0]

    async def inspect_exec(self, exec_id: str) -> EngineExec:
        """Raises NotFound."""
        call = self.calls.call("inspect", "exec", exec_id)
        found: object = await self.calls.look(call, lambda client: client.exec_inspect(exec_id))
        return exec_from(found)

    async def run_exec(self, exec_id: str) -> ExecStream:
        """It begins. What cannot be started says so on its stdout and ends with code 126 or 127. Raises NotFound."""
        call = self.calls.call("start", "exec", exec_id)
        path = f"/exec/{quote(exec_id, safe='')}/start"
        body = b'{"Detach": false, "Tty": false}'
        request = Request(method="POST", path=path, body=body, takes_over=True)
        return ExecStream.over(await open_counted(self.calls, call, request))

    async def exec_exit_code(self, exec_id: str) -> int:
        """Of one whose stream has ended: the engine tells it a moment later. Raises NotFound, EngineUnresponsive."""
        call = self.calls.call("hear the end of", "exec", exec_id)
        until_s = time.monotonic() + self.calls.limits.look_s
        while (code := (await self.inspect_exec(exec_id)).exit_code) is None:
            if time.monotonic() > until_s:
                raise unresponsive(
                    call, f"says for {self.calls.limits.look_s:g} s that it runs, and its output has ended"
                )
            await asyncio.sleep(_LOOK_AGAIN_S)
        return code
