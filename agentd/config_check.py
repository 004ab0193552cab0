"""`agentd --check-config`: everything that would keep the agent from starting and can be known without touching anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from agentd import reconfiguration
from agentd.checkpoint import parse
from agentd.checkpoint_writer import decode_frames
from agentd.config import Settings
from agentd.docker_settings import read_credentials
from agentd.host import host_resources, known_identity
from isolators import table
from isolators.host import read_host_facts
from paddock.model.errors import CheckpointError, ConfigError, InvalidRequest
from paddock.model.ids import AgentId


def check(settings: Settings) -> None:
    """Raises ConfigError with all problems."""
    problems = [
        problem
        for look in (_reconfiguration, _isolation, _credentials, _directories, _state)
        for problem in _problems_of(look, settings)
    ]
    if problems:
        raise ConfigError(tuple(problems))


def _problems_of(look: Callable[[Settings], None], settings: Settings) -> Iterator[str]:
    try:
        look(settings)
    except ConfigError as error:
        yield from error.problems
    except (CheckpointError, InvalidRequest) as error:
        yield str(error)


def _identity(settings: Settings) -> AgentId:
    return known_identity(settings.state_dir) or AgentId("check")


def _reconfiguration(settings: Settings) -> None:
    reconfiguration.check(settings, host_resources(settings), _identity(settings))


def _isolation(settings: Settings) -> None:
    table.create(settings.isolation, read_host_facts(_identity(settings)), settings.for_isolators)


def _credentials(settings: Settings) -> None:
    if settings.docker_config is not None:
        try:
            read_credentials(settings.docker_config)
        except InvalidRequest as error:
            raise ConfigError((f"--docker-config: {error}",)) from None


def _directories(settings: Settings) -> None:
    """The nearest of each that is there must be a directory: the rest is made at the start."""
    for flag, path in (("state-dir", settings.state_dir), ("work-dir", settings.work_dir)):
        nearest = path
        while not os.path.lexists(nearest):
            nearest = os.path.dirname(nearest)
        if not os.path.isdir(nearest):
            raise ConfigError((f"--{flag}={path}: {nearest} is no directory; name one that root can make",))


def _state(settings: Settings) -> None:
    """What another version wrote must be what this one reads. That a running agent is writing it is no problem."""
    path = f"{settings.state_dir}/log"
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError((f"{path}: it cannot be read ({error.strerror}): run this as root",)) from None
    if content:
        frames, _, _ = parse(path, content)
        for _ in decode_frames(path, frames):
            pass
