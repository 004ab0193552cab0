"""The native containerizer: plans by isolators, launches by the launcher, everything after that with each container's shim."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Coroutine, Mapping, Sequence

from agentd.bulk_usage import BulkUsage
from agentd.containerizer.contract import Containerizer, ExecSession, Post, Restored
from agentd.containerizer.discards import Discards
from agentd.containerizer.exec_sessions import ExecSessions
from agentd.containerizer.exit_records import record_from
from agentd.containerizer.fetches import Fetches
from agentd.containerizer.launcher_link import LauncherLink
from agentd.containerizer.limit_watcher import LimitWatcher
from agentd.containerizer.native_recovery import NativeRecovery, destroy_unknown
from agentd.containerizer.places import Places
from agentd.containerizer.plan_json import exec_json
from agentd.containerizer.preparation import Preparation, Ready, StandIn
from agentd.containerizer.resizer import Resizer
from agentd.containerizer.shim_link import Message, ShimLink
from agentd.containerizer.shim_words import as_refusal, ask_what_it_said, failure_of_event, started_event
from agentd.containerizer.told_ends import ToldEnds
from agentd.containerizer.unheard_plans import UnheardPlans
from agentd.core.events import Concluded, Ended, Held, HoldersFound, LaunchFailed, Prepared, PrepareRefused
from agentd.core.exit_record import ExitRecord
from agentd.fetcher.fetcher import Fetcher
from agentd.isolation import Isolation
from agentd.isolation_thread import IsolationThread
from isolators.contract import HostFacts
from paddock.kernel import brief_calls
from paddock.kernel.brief_calls import Receiver
from paddock.launch import protocol
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.errors import ContainerizerError, NotFound
from paddock.model.ids import ContainerId
from paddock.model.launch_plan import LaunchPlan
from paddock.model.statistics import EffectiveLimit, ResourceStatistics
from paddock.model.task import CommandInfo, ContainerType, LaunchFailure

_log = logging.getLogger(__name__)


class NativeContainerizer(Containerizer):
    """For the event loop's thread; what blocks runs on the isolation thread, or on asyncio's own for sweeps."""

    def __init__(
        self,
        *,
        host: HostFacts,
        places: Places,
        isolation: Isolation,
        thread: IsolationThread,
        launcher: LauncherLink,
        fetcher: Fetcher,
        post: Post,
        stand_ins: Mapping[ContainerType, StandIn] | None = None,
    ) -> None:
        """Touches nothing before `start`. `stand_ins`: for the containers that an engine runs and that are held here too."""
        self._host = host
        self._places = places
        self._isolation = isolation
        self._thread = thread
        self._launcher = launcher
        self._fetches = Fetches(fetcher, post)
        self._post = post
        self._watcher = LimitWatcher(isolation, thread, post)
        self._preparation = Preparation(host, places, isolation, launcher, stand_ins or {})
        self._bulk_usage = BulkUsage(isolation)
        self._ready: dict[ContainerId, Ready] = {}
        self._plans: dict[ContainerId, tuple[ContainerConfig, LaunchPlan]] = {}
        self._configs: dict[ContainerId, ContainerConfig] = {}
        self._has_recovered = asyncio.Event()
        self._refused: dict[ContainerId, LaunchFailure] = {}
        self._links: dict[ContainerId, ShimLink] = {}
        self._receiver = Receiver(protocol.MAX_MESSAGE_BYTES)
        self._removed: set[ContainerId] = set()
        """Whose shim has said its last word, and that nothing is left of it."""
        self._told = ToldEnds(post)
        self._execs = ExecSessions()
        self._unheard = UnheardPlans()
        self._settling: dict[ContainerId, list[tuple[int, int]]] = {}
        """Whose connection is gone, until it is known why; and the kills, signal and grace, that came meanwhile."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._discards = Discards(places, self._track)
        self._resizer = Resizer(isolation, thread, post, self._watcher, links=self._links, configs=self._configs)

    async def start(self) -> None:
        """The launcher is there."""
        self._places.make()
        await self._fetches.start()
        await self._launcher.start()

    async def recover(self, restored: Sequence[Restored]) -> None:
        """See NativeRecovery."""
        self._configs.update({each.container.config.container_id: each.container.config for each in restored})
        recovery = NativeRecovery(self._host, self._places, self._isolation, self._thread)
        found = await recovery.run(restored)
        self._has_recovered.set()
        for container_id, live in found.live.items():
            link = self._link(container_id, live.connection)
            if live.said is not None:
                self._on_event(link, live.said)
        for container_id, record in found.ended.items():
            self._post(Ended(container_id=container_id, record=record))
        for container_id, why in found.held.items():
            self._post(Held(container_id=container_id, what=why))
        for container_id in found.unknown:
            self._track(destroy_unknown(container_id, self._places, self._host))

    def prepare(self, config: ContainerConfig) -> None:
        """One hop to the isolation thread and back."""
        container_id = config.container_id

        def done(ready: Ready) -> None:
            self._ready[container_id] = ready
            self._plans[container_id] = (config, ready.plan)
            self._configs[container_id] = config
            self._post(Prepared(container_id=container_id))

        def failed(error: Exception) -> None:
            refused = as_refusal(container_id, error)
            failure = LaunchFailure(
                stage=refused.stage if isinstance(refused, ContainerizerError) else "prepare", message=str(refused)
            )
            self._post(PrepareRefused(container_id=container_id, failure=failure, error=refused))

        self._thread.submit("prepare", lambda: self._preparation.prepare(config), done, failed)

    def fetch(self, config: ContainerConfig) -> None:
        """By outside programs."""
        self._fetches.begin(config)

    def cancel_fetch(self, container_id: ContainerId) -> None:
        """Its program is killed."""
        self._fetches.cancel(container_id)

    def launch(self, container_id: ContainerId) -> None:
        """The plan goes to the launcher, and our end of the shim's first connection stays here."""
        ready = self._ready.pop(container_id, None)
        if ready is None:
            return
        self._unheard.keep(container_id, ready.plan_fd)
        self._link(container_id, self._launcher.launch(ready.plan_fd))

    def watch(self, container_id: ContainerId) -> None:
        """Until `conclude`."""
        self._watcher.watch(container_id)

    def look(self, container_id: ContainerId) -> None:
        """Whoever is connected answers, or ends, in its own time."""
        if container_id not in self._links:
            self._begin_to_settle(container_id)

    def kill(self, container_id: ContainerId, signal: int, grace_ms: int) -> None:
        """By its shim; a container whose shim is gone is swept."""
        self._unheard.withdraw(container_id)
        link = self._links.get(container_id)
        if container_id in self._told:
            self._told.tell_again(container_id)
        elif link is not None and not link.is_closed:
            link.tell("kill", signal=signal, grace_ms=grace_ms)
        else:
            self._begin_to_settle(container_id)
            self._settling[container_id].append((signal, grace_ms))

    def find_holders(self, container_id: ContainerId) -> None:
        """By what is in its cgroups."""
        self._track(self._find_holders(container_id))

    async def _find_holders(self, container_id: ContainerId) -> None:
        what = await asyncio.to_thread(self._places.holders, container_id, self._host)
        if what:
            self._post(HoldersFound(container_id=container_id, what=what))

    def resize(self, config: ContainerConfig) -> None:
        """See Resizer."""
        self._track(self._resizer.resize(config))

    async def check_resize(self, config: ContainerConfig) -> None:
        """See Resizer."""
        await self._resizer.check(config)

    def conclude(self, config: ContainerConfig, record: ExitRecord | None, *, launched: bool) -> None:
        """At once where all isolators end briefly, else one hop to the isolation thread; unless something is left in the
        kernel.
        """
        container_id = config.container_id
        self._watcher.forget(container_id)
        if container_id not in self._told:
            self._drop(container_id)
        self._unheard.forget(container_id)
        ready = self._ready.pop(container_id, None)
        if ready is not None:
            brief_calls.close(ready.plan_fd)
        is_removed = container_id in self._removed
        self._removed.discard(container_id)
        if launched and not is_removed and self._places.cgroups_left(container_id, self._host):
            self._track(self._sweep_and_conclude(container_id, record))
        else:
            self._finish(container_id, record)

    async def _sweep_and_conclude(self, container_id: ContainerId, record: ExitRecord | None) -> None:
        try:
            await asyncio.to_thread(self._places.sweep, container_id, self._host)
        except ContainerizerError as error:
            self._post(Held(container_id=container_id, what=str(error)))
        else:
            self._finish(container_id, record)

    def _finish(self, container_id: ContainerId, record: ExitRecord | None) -> None:
        self._plans.pop(container_id, None)
        self._configs.pop(container_id, None)
        submit = self._thread.submit_brief if self._isolation.concludes_briefly else self._thread.submit
        submit(
            "conclude",
            lambda: self._isolation.conclude(container_id, record),
            lambda evidence: self._told.conclude(Concluded(container_id=container_id, evidence=evidence)),
            lambda error: self._post(Held(container_id=container_id, what=str(error))),
        )

    def discard(self, container_id: ContainerId) -> None:
        """Record and socket; see Discards."""
        self._discards.add(container_id)

    async def usage(self, container_ids: Sequence[ContainerId]) -> list[ResourceStatistics]:
        """Some dozens at a time: a launch that comes meanwhile has its turn on the isolation thread in between."""
        found = await self._thread.run_in_turns("usage", self._bulk_usage.turns(container_ids))
        return list(itertools.chain.from_iterable(found))

    async def limits(self, container_id: ContainerId) -> tuple[EffectiveLimit, ...]:
        """Read from the kernel now."""
        return await self._thread.run("limits", lambda: self._isolation.limits(container_id))

    async def count_also(self, container_id: ContainerId, directories: Mapping[str, str]) -> None:
        """Where it writes beside its sandbox."""
        await self._thread.run("count", lambda: self._isolation.count_also(container_id, directories))

    async def plan(self, container_id: ContainerId, config: ContainerConfig) -> LaunchPlan:
        """Of a container that is prepared, or was launched by an earlier agent: what isolators want of this configuration."""
        planned, plan = self._plans.get(container_id, (None, None))
        if plan is None or planned is not config:
            # Before that isolators may not be asked anything.
            await self._has_recovered.wait()
            plan = await self._thread.run("prepare", lambda: self._isolation.prepare(config))
            self._plans[container_id] = (config, plan)
        return plan

    async def execute(self, container_id: ContainerId, command: CommandInfo, user: UserIdentity) -> ExecSession:
        """The shim forks it; its pipes are ours."""
        link = self._links.get(container_id)
        entry = self._configs.get(container_id)
        if link is None or link.is_closed or entry is None or container_id in self._told:
            raise NotFound("container", container_id)
        wanted = exec_json(entry, command, user, await self.plan(container_id, entry))
        return await self._execs.begin(link, wanted, lambda: self._links.get(container_id) is link)

    async def stop(self) -> None:
        """Every shim goes on by itself."""
        self._watcher.close()
        self._told.close()
        await self._fetches.close()
        for link in self._links.values():
            link.close()
        await self._discards.finish()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._launcher.close()
        await asyncio.to_thread(self._bulk_usage.close)

    def _on_event(self, link: ShimLink, message: Message) -> None:
        container_id = link.container_id
        self._unheard.forget(container_id)
        match message.get("event"):
            case protocol.EVENT_CREATED:
                self._created(link, message)
            case protocol.EVENT_STARTED:
                self._post(started_event(container_id, message))
            case protocol.EVENT_DIED:
                pass
            case protocol.EVENT_FAILED:
                self._failed(container_id, message)
            case protocol.EVENT_EXITED:
                self._exited(link, message)
            case protocol.EVENT_EXEC_EXITED:
                self._execs.ended(container_id, message)
            case other:
                _log.warning("shim said what is not known", extra={"container_id": container_id, "event": other})

    def _created(self, link: ShimLink, message: Message) -> None:
        """The process waits at the barrier for the isolators that want to see it."""
        container_id = link.container_id
        pid = message.get("pid")
        assert isinstance(pid, int)

        def refused(error: Exception) -> None:
            _log.error("isolate failed", extra={"container_id": container_id, "error": str(error)})
            self._refused[container_id] = LaunchFailure(stage="isolate", message=str(error))
            link.tell("kill", signal=9, grace_ms=0)

        self._thread.submit(
            "isolate", lambda: self._isolation.isolate(container_id, pid), lambda _: link.tell("start"), refused
        )

    def _failed(self, container_id: ContainerId, message: Message) -> None:
        self._drop(container_id)
        self._post(LaunchFailed(container_id=container_id, failure=failure_of_event(message)))

    def _exited(self, link: ShimLink, message: Message) -> None:
        container_id = link.container_id
        if container_id in self._told:
            # Again: its record could not be made durable at once.
            return
        fields = message.get("record")
        try:
            record = record_from(fields if isinstance(fields, dict) else {}, container_id, "of the shim's last word")
        except ContainerizerError as error:
            _log.exception("exit record is not understood", extra={"container_id": container_id, "error": str(error)})
            return  # the connection's end follows, and then the file is read
        self._execs.lose(container_id)
        if not record.problems:
            # It speaks when its cgroups are gone; one that stays is a problem, and is looked for.
            self._removed.add(container_id)
        refused = self._refused.pop(container_id, None)
        if refused is None:
            self._told.tell(Ended(container_id=container_id, record=record))
        else:
            self._told.tell(LaunchFailed(container_id=container_id, failure=refused))

    def _drop(self, container_id: ContainerId) -> None:
        link = self._links.pop(container_id, None)
        if link is not None:
            link.close()
        self._execs.lose(container_id)

    def _on_end(self, link: ShimLink) -> None:
        """The shim has closed: what it has told is durable, or it has told nothing of its end."""
        container_id = link.container_id
        if self._links.get(container_id) is not link:
            return
        self._drop(container_id)
        if not self._told.confirm(container_id):
            self._begin_to_settle(container_id)

    def _begin_to_settle(self, container_id: ContainerId) -> None:
        """Once at a time: of two, one would launch anew what the other takes for ended."""
        if container_id not in self._settling:
            self._settling[container_id] = []
            self._track(self._settle(container_id))

    async def _settle(self, container_id: ContainerId) -> None:
        """The connection is gone. Its shim lives, and is connected anew; or it does not, and what it left goes."""
        try:
            connection = await asyncio.to_thread(self._places.connect, container_id)
            if connection is None:
                await self._sweep_what_is_left(container_id)
                return
            link = self._link(container_id, connection)
        finally:
            kills = self._settling.pop(container_id)
        for signal, grace_ms in kills:
            link.tell("kill", signal=signal, grace_ms=grace_ms)
        if (said := await ask_what_it_said(link)) is not None:
            self._on_event(link, said)

    async def _sweep_what_is_left(self, container_id: ContainerId) -> None:
        try:
            record = await asyncio.to_thread(self._places.sweep, container_id, self._host)
        except ContainerizerError as error:
            self._post(Held(container_id=container_id, what=str(error)))
            return
        if record is not None or self._unheard.is_withdrawn(container_id):
            self._unheard.forget(container_id)
            self._post(Ended(container_id=container_id, record=record))
        elif (plan_fd := self._unheard.take(container_id)) is not None:
            # Nothing of it was ever made, so its launcher died before it came to it: the next one gets it, once.
            self._link(container_id, self._launcher.launch(plan_fd))
            brief_calls.close(plan_fd)
        else:
            failure = LaunchFailure(stage="launcher", message="launcher or shim died before the container existed")
            self._post(LaunchFailed(container_id=container_id, failure=failure))

    def _link(self, container_id: ContainerId, connection: socket.socket) -> ShimLink:
        link = self._links[container_id] = ShimLink(
            container_id, connection, self._on_event, self._on_end, self._receiver
        )
        return link

    def _track(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
