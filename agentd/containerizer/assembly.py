"""The containerizers of the settings, wired: the native one always, since it holds the processes of all of them."""

from __future__ import annotations

import os
import random

from agentd.config import Settings
from agentd.containerizer.composing import ComposingContainerizer
from agentd.containerizer.contract import Containerizer, Post
from agentd.containerizer.docker import DockerContainerizer
from agentd.containerizer.launcher_link import LauncherLink
from agentd.containerizer.native import NativeContainerizer
from agentd.containerizer.places import Places
from agentd.core.events import EngineChanged
from agentd.docker.calls import Calls
from agentd.docker.engine import DockerEngine
from agentd.docker.images import Images
from agentd.docker.notes import Notes
from agentd.docker.pulls import Pulls
from agentd.docker.state import EngineLimits, EngineState
from agentd.docker.told import Told
from agentd.fetcher.cache import FetchCache
from agentd.fetcher.fetcher import FetchBounds, Fetcher
from agentd.isolation import Isolation
from agentd.isolation_thread import IsolationThread
from agentd.outside.programs import Programs
from isolators.contract import HostFacts
from paddock.daemon.clock import SystemClock
from paddock.model.task import ContainerType


def assemble(
    settings: Settings,
    host: HostFacts,
    *,
    isolation: Isolation,
    thread: IsolationThread,
    launcher: LauncherLink,
    fetcher: Fetcher,
    post: Post,
) -> ComposingContainerizer:
    """In the settings' order; nothing is touched before `start`."""
    docker = _docker(settings, host, post) if ContainerType.DOCKER in settings.containerizers else None
    native = NativeContainerizer(
        host=host,
        places=Places.at(f"{settings.state_dir}/records", settings.sockets_dir),
        isolation=isolation,
        thread=thread,
        launcher=launcher,
        fetcher=fetcher,
        post=docker.hear if docker else post,
        stand_ins={ContainerType.DOCKER: docker.stand_in} if docker else {},
    )
    members: dict[ContainerType, Containerizer] = {ContainerType.NATIVE: native}
    if docker is not None:
        docker.hold_with(native)
        members[ContainerType.DOCKER] = docker
    return ComposingContainerizer({each: members[each] for each in settings.containerizers}, post, native)


def _docker(settings: Settings, host: HostFacts, post: Post) -> DockerContainerizer:
    usual, call_s = EngineLimits(), settings.docker_call_timeout_s
    limits = EngineLimits(
        ping_s=min(call_s, usual.ping_s),
        look_s=call_s,
        change_s=max(call_s, usual.change_s),
        pull_s=settings.docker_pull_timeout_s,
    )
    told = Told(settings.state_dir)

    def changed(state: EngineState) -> None:
        told(state)
        post(EngineChanged(reachable=state.reachable, words=state.words))

    calls = Calls(settings.docker_socket, limits, clock=SystemClock(), chance=random.random, changed=changed)
    engine = DockerEngine(calls)
    return DockerContainerizer(
        engine=engine,
        images=Images(engine, Pulls(calls), settings.docker_config),
        notes=Notes(f"{settings.state_dir}/docker"),
        host=host,
        sandbox_at=settings.docker_mount_sandbox_at,
        post=post,
    )


def fetcher(settings: Settings, programs: Programs, cache: FetchCache) -> Fetcher:
    """With the settings' bounds."""
    return Fetcher(
        programs=programs,
        cache=cache,
        bounds=FetchBounds(
            deadline_s=settings.fetcher_timeout_s,
            stall_s=settings.fetcher_stall_timeout_s,
            least_bytes_per_s=settings.fetcher_least_bytes_per_s,
            size_limit_bytes=settings.fetcher_size_limit_bytes,
        ),
        environment=os.environ,
    )
