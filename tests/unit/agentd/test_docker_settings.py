"""The settings about Docker: each by its rule, and each mistake with what would be right."""

from __future__ import annotations

import pytest

from agentd.config import Settings, configuration
from paddock.daemon.config import Shown
from paddock.model.docker_parameters import ORDINARY
from paddock.model.errors import ConfigError
from paddock.model.task import ContainerType


def loaded(*flags: str) -> Settings:
    found = configuration().load(flags, {})
    assert not isinstance(found, Shown)
    return found.settings


def test_without_anything_an_agent_runs_native_containers() -> None:
    settings = loaded()
    assert settings.containerizers == (ContainerType.NATIVE,)
    assert (settings.docker_socket, settings.docker_config) == ("/var/run/docker.sock", None)
    assert (settings.docker_pull_timeout_s, settings.docker_call_timeout_s) == (900.0, 10.0)
    assert settings.docker_allowed_parameters == ORDINARY
    assert not settings.docker_allow_privileged
    assert settings.docker_mount_sandbox_at == "/mnt/paddock/sandbox"


def test_the_order_of_containerizers_is_kept() -> None:
    assert loaded("--containerizers=docker,native").containerizers == (ContainerType.DOCKER, ContainerType.NATIVE)
    assert loaded("--containerizers=docker").containerizers == (ContainerType.DOCKER,)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--containerizers=", "one or more of native, docker"),
        ("--containerizers=dokcer", "one or more of native, docker"),
        ("--containerizers=docker,docker", "each once"),
        ("--docker-socket=tcp://x", "absolute path"),
        ("--docker-config=config.json", "absolute path"),
        ("--docker-pull-timeout=0s", "at least 10ms"),
        ("--docker-call-timeout=10", "with its unit"),
        ("--docker-allowed-parameters=userns,cpuset-cpu", "'cpuset-cpu': .*did you mean cpuset-cpus"),
        ("--docker-allowed-parameters=cap-add", "'cap-add': say it with linux.bounding_capabilities"),
        ("--docker-allowed-parameters=uts,uts", "each key once"),
        ("--docker-allow-privileged=yes", "true or false"),
        ("--docker-mount-sandbox-at=sandbox", "absolute path"),
        ("--docker-mount-sandbox-at=/", "name a directory in it"),
        ("--docker-mount-sandbox-at=/a/../b", "leave out"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(flag: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        loaded(flag)
    assert flag.partition("=")[0] in str(refused.value)


def test_what_is_shown_as_the_default_can_be_written() -> None:
    again = loaded(
        "--containerizers=native", f"--docker-allowed-parameters={','.join(ORDINARY)}", "--docker-call-timeout=10s"
    )
    assert again == Settings()
