"""agentd: one agent on one machine. What must be there before grpc comes in is made here."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Sequence

from agentd import config_check, reconfiguration
from agentd.config import Settings, configuration
from agentd.containerizer.launcher_link import LauncherLink
from agentd.containerizer.launcher_process import LauncherCommand, cgroup_parent
from agentd.host import agent_identity, host_resources
from agentd.lock import IdentityLock, StateLock
from isolators.contract import HostFacts
from isolators.host import read_host_facts
from paddock.daemon import open_files
from paddock.daemon.config import Shown
from paddock.daemon.huge_pages import use_huge_pages
from paddock.daemon.log_output import set_up_logging
from paddock.doctor.agents import AgentPlaces, read_places, write_places
from paddock.model.errors import CheckpointError, ConfigError, PaddockError
from paddock.model.task import ContainerType

_log = logging.getLogger(__name__)

EXIT_FAILURE = 1
EXIT_USAGE = 2
SWITCH_INTERVAL_S = 0.001


def main(arguments: Sequence[str] | None = None) -> int:
    """The process' exit code: 0 ended as asked, 1 could not go on, 2 a configuration that says no."""
    try:
        words = sys.argv[1:] if arguments is None else arguments
        found = configuration().load(words, os.environ)
        if isinstance(found, Shown):
            found.tell()
            return 0
        if found.check_only:
            config_check.check(found.settings)
            return 0
        return _run(found.settings, words)
    except (ConfigError, PaddockError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILURE


def _settings_again(arguments: Sequence[str]) -> Settings:
    """From the sources of the start, as they are now."""
    found = configuration().load(arguments, os.environ)
    assert not isinstance(found, Shown)
    return found.settings


def _run(settings: Settings, arguments: Sequence[str]) -> int:
    if os.geteuid() != 0:
        raise ConfigError(("agentd makes cgroups and namespaces: run it as root",))
    set_up_logging(settings.log_format, settings.log_level, program="agentd")
    _make_state_dir(settings.state_dir)
    lock = StateLock(settings.state_dir)
    lock.take()
    identity = agent_identity(settings.state_dir)
    # Held until the process ends.
    claim = IdentityLock(identity, settings.state_dir)
    claim.take()
    resources = host_resources(settings)
    reconfiguration.check(settings, resources, identity)
    reconfiguration.remember(settings, resources)
    host = read_host_facts(identity, settings.cgroup_parent or cgroup_parent(settings.systemd_enable_support))
    launcher = _launcher(settings, host)
    _write_places(settings, host)
    launcher.ensure()
    open_files.raise_limit()
    # Only now: a thread of grpc's beside us could otherwise be caught in a fork.
    from agentd.daemon import Daemon  # noqa: PLC0415

    gc.collect()
    gc.freeze()
    use_huge_pages()
    # An isolator that computes must not keep the event loop from its turn for the interpreter's usual 5 ms.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        daemon = Daemon(settings, identity, host, launcher, lambda: _settings_again(arguments))
        asyncio.run(daemon.run())
    except CheckpointError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILURE
    finally:
        claim.release()
        lock.release()
    return 0


def _make_state_dir(path: str) -> None:
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError((f"--state-dir={path}: {error.strerror}; name a directory that root can make",)) from None


def _write_places(settings: Settings, host: HostFacts) -> None:
    """For `paddock doctor`, which must find what is ours while we are down. A full disk keeps no agent from its containers."""
    unix = [address.removeprefix("unix:") for address in settings.listen if address.startswith(("unix:", "/"))]
    if http := settings.http_addresses.unix_path:
        unix.append(http)
    places = AgentPlaces(
        agent_id=host.agent_id,
        state_dir=settings.state_dir,
        runtime_dir=settings.sockets_dir,
        work_dir=settings.work_dir,
        cgroup_roots=host.cgroup_roots,
        listen=tuple(unix),
        docker_socket=_docker_socket(settings),
        masters=settings.master,
    )
    try:
        write_places(places)
    except OSError as error:
        _log.warning("doctor will not find all of this agent", extra={"error": str(error)})


def _docker_socket(settings: Settings) -> str:
    """Of an agent that runs Docker tasks, or has: what they have left in the engine is there until it runs such again, and so
    long their notes are.
    """
    if ContainerType.DOCKER in settings.containerizers:
        return settings.docker_socket
    earlier, notes = read_places(settings.state_dir), f"{settings.state_dir}/docker"
    return earlier.docker_socket if earlier is not None and os.path.isdir(notes) and os.listdir(notes) else ""


def _launcher(settings: Settings, host: HostFacts) -> LauncherLink:
    os.makedirs(settings.sockets_dir, mode=0o700, exist_ok=True)
    return LauncherLink(
        LauncherCommand(
            socket_path=f"{settings.sockets_dir}/launcher.sock",
            agent_id=host.agent_id,
            cgroup_roots=tuple(dict.fromkeys(root for _, root in host.cgroup_roots)),
            log_path=f"{settings.state_dir}/launcher.log",
            use_systemd=settings.systemd_enable_support,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
