"""The settings about Docker: each by its rule, and each mistake with what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.__main__ import main
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


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), ("no JSON", "docker login"), ('{"credsStore": "pass"}', "credsStore")],
)
def test_credentials_that_no_pull_could_use_are_said_by_check_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, words: str
) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_text(content)
        path.chmod(0o600)
    flags = ["--check-config", f"--config={tmp_path}/empty.toml", f"--docker-config={path}"]
    (tmp_path / "empty.toml").touch()
    assert main(flags) == 2
    told = capsys.readouterr().err
    assert told.startswith("--docker-config: ")
    assert words in told
    assert str(path) in told


def test_credentials_that_are_right_are_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.toml").touch()
    path = tmp_path / "config.json"
    path.write_text('{"auths": {"r.example:5000": {"auth": "dTpw"}}}')
    path.chmod(0o640)
    flags = ["--check-config", f"--config={tmp_path}/empty.toml", f"--state-dir={tmp_path}", f"--docker-config={path}"]
    assert main(flags) == 0, capsys.readouterr().err
