"""A stage whose agent has a Docker engine of its own, with a registry beside it, and all that can be done to both."""

from __future__ import annotations

import asyncio
import glob
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import docker
import requests

from paddock.kernel.mounts import read_hierarchy
from testbed.engine import images
from testbed.engine.engine import Engine, running_engine
from tests.engine.registry import Registry, running_registry
from tests.engine.silent import silent_engine
from tests.faults.engine_watch import ANSWERS, ANSWERS_IT, ENGINE
from tests.faults.stage import WAIT_S, AgentPlace, Stage, open_stage

DISK_BYTES = 128 << 20
PING_S = 0.1
_LOOK_EVERY_S = 0.1
_GONE = (docker.errors.DockerException, requests.RequestException, OSError)
"""An engine that is being hurt, or has been just now."""


class EngineScene:
    """One engine and one registry, for any number of stages. What hurts or heals blocks: for a thread."""

    def __init__(self, engine: Engine, registry: Registry) -> None:
        self.engine = engine
        self.registry = registry
        self.repository = f"{registry.address}/box"
        self.box = f"{self.repository}:1"
        self._silence = ExitStack()

    def make_box(self) -> None:
        """An image that the registry has."""
        images.build_with(self.engine, self.box, {"etc/box": "box"})
        with images.client(self.engine) as api:
            assert "digest: sha256:" in api.push(self.repository, "1")

    def silence(self) -> None:
        """Its socket takes connections, and nobody answers."""
        os.rename(self.engine.socket, self._aside)
        self._silence.enter_context(silent_engine(self.engine.socket))

    def end_silence(self) -> None:
        """The real one is there again; harmless when it is."""
        if self._aside.exists():
            self._silence.close()
            os.rename(self._aside, self.engine.socket)

    @property
    def _aside(self) -> Path:
        return self.engine.directory / "aside.sock"

    def heal(self, *, live_restore: bool) -> None:
        """Whatever was done, it answers, and so does the registry."""
        self.end_silence()
        self.registry.resume()
        self.engine.heal()
        if self.engine.live_restore is not live_restore:
            self.engine.restart(live_restore=live_restore)

    def has_box(self) -> bool:
        """False also where nobody answers."""
        try:
            with images.client(self.engine) as api:
                images.image_id(api, self.box)
        except _GONE:
            return False
        return True

    def remove_box(self) -> bool:
        """Whether there is none of that name any more."""
        try:
            with images.client(self.engine) as api:
                api.remove_image(self.box, force=True)
        except docker.errors.ImageNotFound:
            return True
        except _GONE:
            return False
        return True

    def bring_box(self) -> None:
        """As the registry has it. Both may have come back just now: they are asked until they do."""
        deadline_s = time.monotonic() + WAIT_S
        answer: object = None
        while True:
            try:
                with images.client(self.engine) as api:
                    answer = api.pull(self.repository, "1")
            except _GONE as error:
                answer = error
            if self.has_box():
                return
            assert time.monotonic() < deadline_s, answer
            time.sleep(_LOOK_EVERY_S)

    def containers(self, agent_id: str) -> list[str]:
        """Of this agent, as the engine tells; asked only when all is well."""
        with images.client(self.engine) as api:
            found = api.containers(all=True, filters={"label": f"paddock.agent-id={agent_id}"})
        return [f"engine's container {each['Names'][0]} {each['State']}" for each in found]


class EngineStage(Stage):
    """One master, one agent."""

    scene: EngineScene

    async def ready(self, agent: AgentPlace, *, live_restore: bool, has_box: bool) -> None:
        """Engine, registry and image are as the story wants them, and the agent knows it."""
        await self.settled(agent)
        await asyncio.to_thread(self.scene.heal, live_restore=live_restore)
        await asyncio.to_thread(self.scene.bring_box if has_box else self.scene.remove_box)
        await self.when(lambda: self._engine_of(agent) == ANSWERS_IT, "the agent does not reach its engine")

    @staticmethod
    def _engine_of(agent: AgentPlace) -> str:
        try:
            with open(f"{agent.directory}/{ENGINE}", encoding="ascii") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    async def when(self, is_so: Callable[[], bool], otherwise: str) -> None:
        deadline_s = time.monotonic() + WAIT_S
        while not is_so():
            assert time.monotonic() < deadline_s, otherwise
            await asyncio.sleep(_LOOK_EVERY_S / 4)

    def answers_since(self, moment_s: float) -> list[float]:
        """When the agent's answers to pings came to the master."""
        try:
            with open(f"{self.directory}/m/{ANSWERS}", encoding="ascii") as file:
                return [moment for line in file if (moment := float(line)) > moment_s]
        except FileNotFoundError:
            return []

    async def left(self, agent: AgentPlace) -> list[str]:
        """Also in the engine, in what it makes in hierarchies that are not ours, and between agent and stand-in."""
        notes = glob.glob(f"{agent.directory}/state/docker/*")
        points = read_hierarchy().roots
        cgroups = [path for point in points for path in glob.glob(f"{point}/paddock-{agent.agent_id}/*-*-*")]
        found = [*agent.left(), *(f"note {path}" for path in notes), *(f"cgroup {path}" for path in cgroups)]
        return found or await asyncio.to_thread(self.scene.containers, agent.agent_id)


@contextmanager
def open_scene() -> Iterator[EngineScene]:
    """Gone afterwards, without a trace."""
    with running_engine(disk_bytes=DISK_BYTES) as engine, running_registry(engine) as registry:
        scene = EngineScene(engine, registry)
        scene.make_box()
        yield scene
        scene.heal(live_restore=False)


@contextmanager
def open_engine_stage(scene: EngineScene, *, call_timeout_s: float = 5) -> Iterator[EngineStage]:
    """See open_stage."""
    master: Sequence[str] = [f"--agent-ping-timeout={PING_S * 1000:g}ms", "--max-agent-ping-timeouts=600"]
    agent: Sequence[str] = [
        "--containerizers=docker,native",
        f"--docker-socket={scene.engine.socket}",
        f"--docker-call-timeout={call_timeout_s:g}s",
    ]
    EngineStage.scene = scene
    with open_stage(master_arguments=master, agent_arguments=agent, kind=EngineStage) as stage:
        assert isinstance(stage, EngineStage)
        yield stage
