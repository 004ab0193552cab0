"""The Docker containerizer: the engine creates and runs, and a shim of ours holds each container through its stand-in.

All that the native containerizer promises comes from the same code: limits in our own cgroup above the engine's, logs, the
exit record, kills without the engine, recovery, statistics. What is here is the engine's part: image, creation, exec, removal.
Where it does not answer, the launch fails with its words, and what it owes is taken from it when it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace

from agentd.containerizer.contract import Containerizer, ExecSession, Post, Restored
from agentd.containerizer.engine_creations import EngineCreations, docker_of
from agentd.containerizer.engine_preparations import EnginePreparations
from agentd.containerizer.engine_sizes import EngineSizes
from agentd.containerizer.launcher_process import isolated
from agentd.containerizer.native import NativeContainerizer
from agentd.core.events import (
    Concluded,
    Ended,
    Event,
    LaunchFailed,
    Prepared,
    PrepareRefused,
    Resized,
    Started,
)
from agentd.core.exit_record import ExitRecord
from agentd.docker import creation, engine_cgroups
from agentd.docker.engine import DockerEngine, ExecOrder
from agentd.docker.events import EventFollower
from agentd.docker.evidence import merged
from agentd.docker.exec_session import DockerExec
from agentd.docker.images import Images
from agentd.docker.launch_failures import launch_failure_of, start_failure_of
from agentd.docker.leftovers import Leftovers
from agentd.docker.notes import Note, Notes
from agentd.docker.oom_log import OomLog
from agentd.docker.stand_in_order import order_words
from agentd.docker.state import EngineState
from isolators.contract import HostFacts
from paddock.kernel.mounts import read_hierarchy
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.errors import ContainerizerError, NotFound, PaddockError, Unavailable
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import LaunchPlan
from paddock.model.statistics import EffectiveLimit, ResourceStatistics
from paddock.model.task import CommandInfo

_CGROUP_DRIVER = "cgroupfs"
_MAIN = "import sys; sys.path[:0] = [{root!r}]; from agentd.docker.stand_in import main; main()"
_REMOVAL_PATIENCE_S = 5.0
_log = logging.getLogger(__name__)


class DockerContainerizer(Containerizer):
    """For the event loop's thread. `hold_with` first."""

    _native: NativeContainerizer
    _sizes: EngineSizes

    def __init__(
        self, *, engine: DockerEngine, images: Images, notes: Notes, host: HostFacts, sandbox_at: str, post: Post
    ) -> None:
        """`sandbox_at`: where a container sees its sandbox. Touches nothing before `start`."""
        self._engine = engine
        self._notes = notes
        self._host = host
        self._post = post
        self._leftovers = Leftovers(engine, host)
        self._hierarchy = read_hierarchy()
        self._oom_log = OomLog()
        self._configs: dict[ContainerId, ContainerConfig] = {}
        self._preparations = EnginePreparations(bring=images.bring, post=post)
        self._creations = EngineCreations(
            engine=engine,
            images=images,
            notes=notes,
            leftovers=self._leftovers,
            host=host,
            hierarchy=self._hierarchy,
            sandbox_at=sandbox_at,
        )
        self._started: dict[ContainerId, Started] = {}
        """What a shim has said of a stand-in, until that has said that it has started the container."""
        self._removing: dict[ContainerId, asyncio.Task[None]] = {}
        """From the engine: what its stand-in has seen the end of."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_recovered = False

    def hold_with(self, native: NativeContainerizer) -> None:
        """By it, whose events come to `hear`, and who asks `stand_in`."""
        self._native = native
        self._sizes = EngineSizes(
            engine=self._engine,
            notes=self._notes,
            native=native,
            configs=self._configs,
            post=self._post,
            track=self._track,
        )

    async def start(self) -> None:
        """With an engine or without."""
        self._notes.make()
        self._notes.watch(self._look_at_note)
        await self._engine.calls.start()
        follower = EventFollower(
            calls=self._engine.calls,
            labels={creation.AGENT_LABEL: self._host.agent_id},
            # What matters is whether the engine is there. All else of a container its stand-in tells.
            actions=("oom",),
            connected=self._leftovers.look_again,
            heard=lambda event: _log.debug("the engine tells", extra={"action": event.action}),
        )
        self._track(follower.follow())

    async def recover(self, restored: Sequence[Restored]) -> None:
        """Whose shims live, the native containerizer finds. The engine is told what it may keep of ours."""
        self._configs.update({each.container.config.container_id: each.container.config for each in restored})
        for container_id in set(self._notes.left()) - set(self._configs):
            self._notes.forget(container_id)
        self._has_recovered = True
        self._sizes.recover()
        self._leftovers.begin(self._configs.__contains__)

    def stand_in(self, config: ContainerConfig, plan: LaunchPlan) -> Sequence[str]:
        """Its command. Raises ContainerizerError for what an engine cannot carry out. (On the isolation thread.)"""
        if plan.needs_barrier:
            words = "an isolator wants to see the process before it runs its command, and an engine starts it by itself"
            raise ContainerizerError(config.container_id, "prepare", words)
        place = self._host.place(config.container_id)
        order = order_words(
            socket=self._engine.calls.socket_path,
            api=self._engine.calls.api_version,
            go=self._notes.go_path(config.container_id),
            wake=self._notes.wake_path(config.container_id),
            note=self._notes.note_path(config.container_id),
            reads=[
                (f"{read.controller}/{read.file}", place.directory(read.controller) or "", read.file)
                for read in plan.final_reads
            ],
            has_init=docker_of(config).init,
        )
        return stand_in_command(order)

    def hear(self, event: Event) -> None:
        """What the native containerizer says, of its own containers too."""
        match event:
            case Prepared() | PrepareRefused() if self._preparations.is_waiting_for(event):
                self._preparations.planned(event)
            case Started() if event.container_id in self._configs:
                self._stand_in_started(event)
            case Ended() if event.container_id in self._configs:
                self._track(self._ended(event.container_id, event.record))
            case Concluded() if event.container_id in self._configs or event.container_id in self._removing:
                self._track(self._concluded(event))
            case Resized():
                self._sizes.hear(event)
            case _:
                self._post(event)

    def _stand_in_started(self, event: Started) -> None:
        container_id = event.container_id
        self._started[container_id] = event
        note = self._notes.read(container_id)
        if not self._creations.has_begun(container_id) and note is None:
            # An earlier agent has launched it, and died before the engine had created anything, or before it was told.
            self._create_soon(container_id)
        elif note is not None and note.failed_stage:
            # Or it died before it had ended what there was nothing to start for.
            self._native.kill(container_id, 9, 0)
        self._look_at_note(container_id)

    def prepare(self, config: ContainerConfig) -> None:
        """Its image may take minutes."""
        container_id = config.container_id
        self._configs[container_id] = config
        try:
            self._check_driver()
        except Unavailable as error:
            self._post(PrepareRefused(container_id=container_id, failure=launch_failure_of(error), error=error))
            return
        self._preparations.begin(config, self._native.prepare)

    def _check_driver(self) -> None:
        facts = self._engine.calls.state.facts
        if facts is not None and facts.cgroup_driver != _CGROUP_DRIVER:
            words = f"the engine's cgroup driver is {facts.cgroup_driver}, which takes containers out of our cgroups"
            raise Unavailable(f'{words}: set "exec-opts": ["native.cgroupdriver=cgroupfs"] in its daemon.json')

    def fetch(self, config: ContainerConfig) -> None:
        """Into the sandbox, as for any other."""
        self._native.fetch(config)

    def cancel_fetch(self, container_id: ContainerId) -> None:
        """A pull is given up too."""
        self._preparations.give_up(container_id)
        self._native.cancel_fetch(container_id)

    def launch(self, container_id: ContainerId) -> None:
        """The shim makes the cgroups, and its stand-in comes up, while the engine creates the container."""
        self._native.launch(container_id)
        self._create_soon(container_id)

    def _create_soon(self, container_id: ContainerId) -> None:
        hearer = self._preparations.hearer(container_id)
        self._creations.begin(self._configs[container_id], self._native, hearer)

    def _look_at_note(self, container_id: ContainerId) -> None:
        """A few hundred bytes on the way from the page cache."""
        if self._has_recovered and container_id not in self._configs:
            # Its shim is gone, and so is it; its stand-in has written all the same.
            self._notes.forget(container_id)
            return
        started, note = self._started.get(container_id), self._notes.read(container_id)
        if note is not None and note.has_ended and container_id in self._configs:
            # All of its output has come, and its end is in the note: the engine's part goes while the shim sees to the rest.
            self._remove_soon(container_id, note.engine_id, has_ended=True)
        if started is not None and note is not None and note.failed is None:
            del self._started[container_id]
            unapplied = (*started.unapplied, *self._creations.warnings(container_id))
            self._post(replace(started, pid=note.pid or started.pid, unapplied=unapplied))
            if not note.has_ended:
                self._track(self._count_disk(container_id, note))

    async def _count_disk(self, container_id: ContainerId, note: Note) -> None:
        """What it writes into its image and the engine's volumes counts as what it writes into its sandbox."""
        try:
            writes = (await self._engine.inspect(note.engine_id)).writes if note.writes is None else note.writes
        except PaddockError as error:
            _log.warning("only its sandbox is counted", extra={"container_id": container_id, "error": str(error)})
            return
        await self._native.count_also(container_id, writes)

    async def _ended(self, container_id: ContainerId, record: ExitRecord | None) -> None:
        self._look_at_note(container_id)
        self._started.pop(container_id, None)
        note = self._notes.read(container_id)
        failure = self._creations.take_failure(container_id) or start_failure_of(note)
        if failure is not None:
            self._post(LaunchFailed(container_id=container_id, failure=failure))
            return
        if record is not None and note is not None:
            if note.problem:
                _log.warning("of an end", extra={"container_id": container_id, "problem": note.problem})
            directory = self._host.place(container_id).directory("memory") or ""
            path = self._hierarchy.kernel_path(directory)
            record = await asyncio.to_thread(merged, record, note, path, self._oom_log.kills_in)
        self._post(Ended(container_id=container_id, record=record))

    def watch(self, container_id: ContainerId) -> None:
        """Our cgroup is above the engine's."""
        self._native.watch(container_id)

    def look(self, container_id: ContainerId) -> None:
        """At its shim."""
        self._native.look(container_id)

    def kill(self, container_id: ContainerId, signal: int, grace_ms: int) -> None:
        """Without the engine: the stand-in passes the signal on, the shim kills what is in the cgroups."""
        self._native.kill(container_id, signal, grace_ms)

    def find_holders(self, container_id: ContainerId) -> None:
        """In the cgroups."""
        self._native.find_holders(container_id)

    def resize(self, config: ContainerConfig) -> None:
        """Our cgroup first, then the engine's."""
        self._sizes.resize(config)

    async def check_resize(self, config: ContainerConfig) -> None:
        """What isolators say."""
        await self._native.check_resize(config)

    def conclude(self, config: ContainerConfig, record: ExitRecord | None, *, launched: bool) -> None:
        """The engine's part goes beside ours, or is owed."""
        self._track(self._conclude(config, record, launched=launched))

    async def _conclude(self, config: ContainerConfig, record: ExitRecord | None, *, launched: bool) -> None:
        container_id = config.container_id
        await self._creations.settle(container_id)
        if launched:
            note = self._notes.read(container_id)
            removing = self._remove_soon(container_id, self._creations.engine_id(container_id))
            if note is None or not note.has_ended:
                # The engine may still run it, below our cgroups.
                await asyncio.wait([removing])
        self._native.conclude(config, record, launched=launched)

    async def _concluded(self, event: Concluded) -> None:
        """Of ours nothing is left; nor of the engine's part, then, unless it takes too long: nobody waits for an end because an
        engine hangs.
        """
        container_id = event.container_id
        if (removing := self._removing.get(container_id)) is not None:
            await asyncio.wait([removing], timeout=_REMOVAL_PATIENCE_S)
        self._creations.forget(container_id)
        self._sizes.forget(container_id)
        for known in (self._configs, self._started, self._removing):
            known.pop(container_id, None)
        self._post(event)

    def _remove_soon(self, container_id: ContainerId, engine_id: str, *, has_ended: bool = False) -> asyncio.Task[None]:
        """Once. `engine_id` empty: it is looked for by its name. `has_ended`: see Leftovers."""
        removing = self._removing.get(container_id)
        if removing is None:
            work = self._leftovers.remove(container_id, engine_id, has_ended=has_ended)
            removing = self._removing[container_id] = self._track(work)
        return removing

    def discard(self, container_id: ContainerId) -> None:
        """Record and socket; and the note, which is a part of the record: an agent that dies earlier needs both."""
        self._notes.forget(container_id)
        self._native.discard(container_id)

    async def usage(self, container_ids: Sequence[ContainerId]) -> list[ResourceStatistics]:
        """Of the cgroups above the engine's, whatever that does."""
        return await self._native.usage(container_ids)

    async def limits(self, container_id: ContainerId) -> tuple[EffectiveLimit, ...]:
        """In our cgroup."""
        return await self._native.limits(container_id)

    async def execute(self, container_id: ContainerId, command: CommandInfo, user: UserIdentity) -> ExecSession:
        """By the engine, in all that it has made for the container."""
        config, note = self._configs.get(container_id), self._notes.read(container_id)
        if config is None or note is None or not note.engine_id or note.has_ended:
            raise NotFound("container", container_id)
        order = ExecOrder(
            arguments=command.argv,
            environment=tuple(f"{name}={value}" for name, value in command.environment),
            user="" if docker_of(config).image_user else creation.user_of(user),
            working_directory=command.working_directory,
        )
        return await DockerExec.begin(self._engine, note.engine_id, order)

    def engines(self) -> Mapping[str, EngineState]:
        """The one."""
        return {"docker": self._engine.calls.state}

    async def stop(self) -> None:
        """All live on."""
        self._notes.close()
        self._leftovers.end()
        for task in self._tasks:
            task.cancel()
        tasks = (*self._tasks, *self._preparations.cancel(), *self._creations.cancel())
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._engine.calls.close()
        self._oom_log.close()
        await asyncio.to_thread(engine_cgroups.remove_empty, self._host, None)

    def _track(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def stand_in_command(order: Sequence[str]) -> tuple[str, ...]:
    """What is executed: `order` are `order_words`."""
    return (*isolated(_MAIN), *order)
