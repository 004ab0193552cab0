"""One agent, wired: from its settings to a serving process, and back to nothing."""

from __future__ import annotations

import asyncio
import logging
import signal
import uuid
from collections.abc import Callable

from agentd import host as host_facts
from agentd.checker import Checks
from agentd.checkpoint import CheckpointLog
from agentd.checkpoint_writer import CheckpointWriter, decode_frames
from agentd.config import VERSION, Settings
from agentd.containerizer.assembly import assemble, fetcher
from agentd.containerizer.composing import ComposingContainerizer
from agentd.containerizer.contract import Restored
from agentd.containerizer.launcher_link import LauncherLink
from agentd.core import events, recovery
from agentd.core.machine import Machine
from agentd.core.state import AgentState, new_state
from agentd.fetcher.cache import FetchCache
from agentd.gc.collector import Collected, Collector, CollectorSettings
from agentd.gc.pins import Pins
from agentd.gc.places import SandboxPlaces
from agentd.isolation import Isolation
from agentd.isolation_thread import IsolationThread
from agentd.mailbox import Mailbox
from agentd.metrics.pages import Pages, Sources
from agentd.outside.programs import Programs
from agentd.rpc.access import Access
from agentd.rpc.master import MasterClient
from agentd.rpc.powers import Powers
from agentd.rpc.services import Services
from agentd.sandbox import make_home
from agentd.shell import Shell
from agentd.users import Users
from agentd.volumes import VolumeKeeper, VolumePlaces
from agentd.wiring import MasterLink, NoMaster
from isolators import table
from isolators.contract import HostFacts
from paddock.daemon.clock import SystemClock
from paddock.daemon.lag import measure_lag
from paddock.daemon.log_output import set_up_logging
from paddock.daemon.readiness import Readiness
from paddock.daemon.reload import Reload
from paddock.http.listener import HttpListener
from paddock.model.ids import AgentId
from paddock.rpc.leader import StaticMasters
from paddock.rpc.principal import OwnUidOnly

_log = logging.getLogger(__name__)

STOP_GRACE_S = 1.0


class Daemon:
    """`run` once."""

    def __init__(
        self,
        settings: Settings,
        identity: AgentId,
        host: HostFacts,
        launcher: LauncherLink,
        load: Callable[[], Settings],
    ) -> None:
        """What was made before grpc came in. `load` reads the configuration again."""
        self._load = load
        self._settings = settings
        self._identity = identity
        self._host = host
        self._launcher = launcher
        self._readiness = Readiness()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises CheckpointError when the log is not to be trusted. Containers live on."""
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        log, frames = CheckpointLog.open(f"{self._settings.state_dir}/log")
        state = self._restored_state(log.path, frames)

        self._make_home()
        mailbox = Mailbox(loop)
        writer = CheckpointWriter(
            log,
            on_durable=lambda number: mailbox.put(shell.durable_up_to, number),
            on_failure=lambda error: mailbox.put(shell.log_blocked, str(error)),
        )
        shell = Shell(Machine(state, new_uuid=lambda: uuid.uuid4().bytes), writer, SystemClock())
        thread = IsolationThread(loop)
        programs = Programs(self._host)
        isolation = Isolation(table.create(self._settings.isolation, self._host, self._settings.for_isolators))
        cache = FetchCache(f"{self._settings.state_dir}/fetched", self._settings.fetcher_cache_size_bytes)
        containerizer = assemble(
            self._settings,
            self._host,
            isolation=isolation,
            thread=thread,
            launcher=self._launcher,
            fetcher=fetcher(self._settings, programs, cache),
            post=shell.post,
        )
        try:
            volume_places = VolumePlaces(self._settings.work_dir, self._identity)
            keeper = VolumeKeeper(volume_places, thread, shell.post)
            sources = Sources(
                settings=self._settings,
                host=self._host,
                shell=shell,
                containerizer=containerizer,
                writer=writer,
                thread=thread,
                isolators=isolation.meters,
                cache=cache,
            )
            await self._serve(shell, containerizer, keeper, programs, stopping, sources)
        finally:
            shell.close()
            # First the log: what becomes durable by this lets go of exit records.
            await asyncio.to_thread(writer.close)
            mailbox.close()
            await containerizer.stop()
            await asyncio.to_thread(thread.close)

    def _make_home(self) -> None:
        try:
            make_home(self._settings.work_dir, self._identity)
        except OSError as error:
            # Each launch will say so of its own sandbox, and it may be put right meanwhile.
            _log.warning("the work directory cannot be prepared", extra={"error": str(error)})

    def _restored_state(self, path: str, frames: list[bytes]) -> AgentState:
        total = host_facts.host_resources(self._settings)
        state = new_state(
            agent_id=self._identity,
            boot_id=host_facts.boot_id(self._settings),
            total=total,
            ended_limit_count=self._settings.ended_limit_count,
            # Above every version that an earlier life gave: one life makes fewer changes than nanoseconds pass.
            version=SystemClock().wall_ns(),
        )
        recovery.restore(state, decode_frames(path, frames))
        return state

    def _collector(self, shell: Shell, pins: Pins, programs: Programs, collected: Collected) -> Collector:
        return Collector(
            state=shell.state,
            pins=pins,
            places=SandboxPlaces(work_dir=self._settings.work_dir, agent_id=self._identity),
            programs=programs,
            clock=SystemClock(),
            settings=_collector_settings(self._settings),
            collected=collected,
        )

    async def _serve(
        self,
        shell: Shell,
        containerizer: ComposingContainerizer,
        volumes: VolumeKeeper,
        programs: Programs,
        stopping: asyncio.Event,
        sources: Sources,
    ) -> None:
        users, powers, pins = Users(), Powers.of(self._settings), Pins()
        services = Services(self._settings, shell, containerizer, Access(shell, OwnUidOnly()), users, powers, pins)
        master, client = self._master(shell, users, powers, services)
        checks = Checks(containerizer, shell.post, SystemClock())
        shell.connect(containerizer, master, checks, volumes)
        http = HttpListener(self._settings.http_addresses, Pages(sources).by_path)
        beside: list[asyncio.Task[None]] = [asyncio.create_task(measure_lag(shell.meters.loop_lag_s))]
        try:
            # First of all: whoever asks meanwhile is told that it recovers.
            await http.start()
            await containerizer.start()
            await self._recover(shell, containerizer)
            collector = self._collector(shell, pins, programs, sources.collected)
            beside.append(asyncio.create_task(collector.run()))
            await services.start()
            if client is not None:
                client.start()
            self._readiness.ready(f"agent {self._identity}")
            _log.info("agent serves", extra={"agent_id": self._identity, "listen": self._settings.listen})
            self._hear_reload(collector)
            watchdog = asyncio.create_task(self._readiness.keep_watchdog())
            telling = asyncio.create_task(self._tell_problems(shell, services))
            await stopping.wait()
            watchdog.cancel()
            telling.cancel()
            self._readiness.stopping()
            _log.info("agent stops; its containers go on")
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await http.stop()
            if client is not None:
                await client.stop()
            await checks.stop()
            await services.stop(grace_s=STOP_GRACE_S)

    def _hear_reload(self, collector: Collector) -> None:
        def apply(settings: Settings) -> None:
            set_up_logging(settings.log_format, settings.log_level, program="agentd")
            collector.change(_collector_settings(settings))

        reload = Reload(
            self._settings,
            load=self._load,
            apply=apply,
            readiness=self._readiness,
            status=f"agent {self._identity}",
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.run)

    async def _tell_problems(self, shell: Shell, services: Services) -> None:
        """Health says NOT_SERVING while no new work is taken; everything else is answered as ever."""
        while True:
            await shell.problem_changed.wait()
            shell.problem_changed.clear()
            await services.set_serving(serving=not shell.problem)
            self._readiness.status(shell.problem or f"agent {self._identity}")

    def _master(
        self, shell: Shell, users: Users, powers: Powers, services: Services
    ) -> tuple[MasterLink, MasterClient | None]:
        if not self._settings.master:
            return NoMaster(), None
        client = MasterClient(
            StaticMasters(self._settings.master),
            shell,
            users,
            powers,
            work_dir=self._settings.work_dir,
            log_policy=self._settings.log_policy,
            info=lambda: host_facts.agent_info(
                self._settings,
                self._identity,
                shell.state.total,
                boot_id=shell.state.boot_id,
                version=VERSION,
                tcp_port=services.tcp_port,
            ),
        )
        return client, client

    async def _recover(self, shell: Shell, containerizer: ComposingContainerizer) -> None:
        live = shell.state.live()
        restored = [Restored(container=entry.whole(), same_boot=entry.boot_id == shell.state.boot_id) for entry in live]
        await containerizer.recover(restored)
        shell.post(events.RecoveryEnded())
        _log.info("containers recovered", extra={"known_count": len(restored), "live_count": len(shell.state.live())})


def _collector_settings(settings: Settings) -> CollectorSettings:
    return CollectorSettings(
        delay_s=settings.gc_delay_s,
        headroom=settings.gc_disk_headroom,
        interval_s=settings.disk_watch_interval_s,
    )
