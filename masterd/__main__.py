"""masterd: the composition root. Everything is made here, handed to whoever needs it, and ended in reverse."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial

from masterd.beginning import Beginning
from masterd.config import MasterSettings, configuration
from masterd.core.effects import SaveWeights
from masterd.core.machine import Machine
from masterd.core.recovery import Remembered
from masterd.metrics.pages import Pages
from masterd.recording import FORMAT, RecordedMachine, Recorder
from masterd.registry import Registry
from masterd.registry_file import check_format
from masterd.rpc.services import services
from masterd.setting_kinds import parse_weights
from masterd.shell import MasterShell
from masterd.whitelist import read_whitelist
from paddock import __version__
from paddock.daemon import open_files
from paddock.daemon.clock import SystemClock
from paddock.daemon.config import Shown
from paddock.daemon.huge_pages import use_huge_pages
from paddock.daemon.log_output import set_up_logging
from paddock.daemon.readiness import Readiness
from paddock.daemon.reload import Reload
from paddock.http.listener import HttpListener
from paddock.model.agent import MasterInfo
from paddock.model.errors import CheckpointError, ConfigError, PaddockError
from paddock.rpc import exposure
from paddock.rpc.principal import OwnUidOnly
from paddock.rpc.server import RpcServer
from paddock.rpc.tokens import TokenAuthenticator, TokenIssuer

_log = logging.getLogger("masterd")
_STOP_GRACE_S = 2.0
_COLLECTION_THRESHOLDS = (200_000, 20, 20)
"""Objects that may wait in cycles. An ended call leaves five: 40,000 calls, 24 MB. A run makes three or four for each offer,
none of them garbage: one over 50,000 agents should not be stopped to look through them.
"""

STREAMS_PER_CONNECTION = 64
"""A framework's stream of events and its calls. It is what others may have to wait behind when one floods."""


def main() -> int:
    """The console script. 0: stopped as asked; 1: could not run; 2: the configuration is wrong."""
    try:
        invocation = configuration().load(sys.argv[1:], os.environ)
    except PaddockError as error:
        for line in str(error).splitlines():
            print(f"masterd: {line}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return 2
    if isinstance(invocation, Shown):
        invocation.tell()
        return 0
    settings = invocation.settings
    if invocation.check_only:
        return _check(settings)
    set_up_logging(settings.log_format, settings.log_level, program="masterd")
    use_huge_pages()
    open_files.raise_limit()
    try:
        asyncio.run(_serve(settings))
    except PaddockError as error:
        _log.critical("masterd cannot go on", extra={"error": str(error)})
        return 1
    return 0


def _check(settings: MasterSettings) -> int:
    """What would keep it from starting, and can be known without touching anything."""
    problems = []
    for look in (lambda: check_format(settings.state_dir), lambda: read_whitelist(settings.whitelist)):
        try:
            look()
        except (CheckpointError, ConfigError) as error:
            problems.append(str(error))
    recorded_in = os.path.dirname(settings.record_events or "/")
    for name, path in (("state_dir", settings.state_dir), ("record_events", recorded_in)):
        nearest = path
        while not os.path.lexists(nearest):
            nearest = os.path.dirname(nearest)
        if not os.path.isdir(nearest):
            problems.append(f"{name}: {nearest} is no directory; name one that masterd can make")
    for problem in problems:
        print(f"masterd: {problem}", file=sys.stderr)  # noqa: T201 - there is no log yet
    return 2 if problems else 0


async def _serve(settings: MasterSettings) -> None:
    registry = Registry.open(settings.state_dir)
    try:
        await _serve_from(settings, registry)
    finally:
        registry.close()


async def _serve_from(settings: MasterSettings, registry: Registry) -> None:
    whitelist = read_whitelist(settings.whitelist)
    clock = SystemClock()
    identity = registry.begin_epoch()
    remembered = registry.load()
    if settings.weights:
        weights = parse_weights(settings.weights)
        registry.write((SaveWeights(weights_milli=weights),))
        remembered = replace(remembered, weights_milli=weights)
    address = settings.tcp_address or f"unix:{settings.unix_path}"
    master = MasterInfo(master_id=identity.master_id, address=address, version=__version__, epoch=identity.epoch)
    shell = MasterShell(
        _machine(settings, _beginning(settings, master, remembered, clock)),
        write=registry.write,
        clock=clock,
        allocation_interval_s=settings.allocation_interval_s,
    )
    shell.post(whitelist)
    server = _server(settings, shell)
    http = HttpListener(
        settings.http_addresses, Pages(shell, role_limit_count=settings.metrics_role_limit_count).by_path
    )
    collect_seldom()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, shell.stop)
    readiness = Readiness()
    watchdog = asyncio.create_task(readiness.keep_watchdog())
    running = asyncio.create_task(shell.run())
    try:
        await server.start()
        exposure.tell(settings.tcp_address, settings.tcp_uid)
        await http.start()
        await server.set_serving(serving=True)
        _log.info("master serves", extra={"master_id": identity.master_id, "epoch": identity.epoch, "address": address})
        status = f"master {identity.master_id}, epoch {identity.epoch}, serves on {address}"
        readiness.ready(status)
        reload = Reload(
            settings, load=_settings_again, apply=partial(_apply, shell), readiness=readiness, status=status
        )
        loop.add_signal_handler(signal.SIGHUP, reload.run)
        telling = asyncio.create_task(_tell_problems(shell, server, readiness))
        try:
            await asyncio.shield(running)
        finally:
            telling.cancel()
    finally:
        readiness.stopping()
        shell.stop()
        await http.stop()
        await server.stop(grace_s=_STOP_GRACE_S)
        watchdog.cancel()
        with suppress(asyncio.CancelledError):
            await watchdog
        await _ended(running)
    _log.info("master stopped")


def _beginning(settings: MasterSettings, master: MasterInfo, remembered: Remembered, clock: SystemClock) -> Beginning:
    return Beginning(
        format=FORMAT,
        version=__version__,
        allocator=settings.allocator,
        allocator_settings=settings.allocator_settings,
        settings=settings.core,
        master=master,
        remembered=remembered,
        seed=random.randrange(2**31) if settings.allocator_seed is None else settings.allocator_seed,
        now_ns=clock.monotonic_ns(),
        wall_ns=clock.wall_ns(),
    )


def _settings_again() -> MasterSettings:
    """From the sources of the start, as they are now."""
    invocation = configuration().load(sys.argv[1:], os.environ)
    assert not isinstance(invocation, Shown)
    return invocation.settings


def _apply(shell: MasterShell, settings: MasterSettings) -> None:
    """The whitelist's file is read each time: it changes more often than its name."""
    shell.post(read_whitelist(settings.whitelist))
    set_up_logging(settings.log_format, settings.log_level, program="masterd")


def collect_seldom() -> None:
    """What is there now (modules, what the registry held) stays for ever, and what comes is nearly all freed by its last
    reference: with Python's own numbers all of it would be looked through again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTION_THRESHOLDS)


async def _tell_problems(shell: MasterShell, server: RpcServer, readiness: Readiness) -> None:
    """Health says NOT_SERVING while nothing can be made durable; what can be answered is."""
    while True:
        await shell.problem_changed.wait()
        shell.problem_changed.clear()
        await server.set_serving(serving=not shell.problem)
        readiness.status(shell.problem or "it serves")


def _machine(settings: MasterSettings, beginning: Beginning) -> Machine:
    if settings.record_events is None:
        return Machine(beginning.state())
    try:
        recorder = Recorder(settings.record_events, settings.record_events_limit_bytes, beginning)
    except OSError as error:
        raise ConfigError((f"record_events: {settings.record_events} cannot be written: {error}",)) from error
    return RecordedMachine(beginning.state(), recorder)


async def _ended(running: asyncio.Task[None]) -> None:
    """The loop has ended, by itself or by `stop`; what broke it has been raised where it was waited for."""
    with suppress(CheckpointError):
        await running


def _server(settings: MasterSettings, shell: MasterShell) -> RpcServer:
    issuer = TokenIssuer()
    return RpcServer(
        services=services(shell, OwnUidOnly()),
        authenticator=TokenAuthenticator(issuer, tcp_uid=settings.tcp_uid),
        issuer=issuer,
        unix_path=settings.unix_path,
        tcp_address=settings.tcp_address,
        streams_per_connection=STREAMS_PER_CONNECTION,
    )


if __name__ == "__main__":
    sys.exit(main())
