"""What users other than root may ask for: nothing beyond the agent's own limits, unless the operator allows it."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from agentd.config import configuration
from agentd.rpc.powers import Powers
from paddock.daemon.config import Shown
from paddock.model.docker import DeviceMapping, DockerInfo, DockerVolume, Tmpfs
from paddock.model.errors import ConfigError, InvalidRequest, PermissionRefused, Unsupported
from paddock.model.image import parse_image
from paddock.model.task import ContainerInfo, ContainerType, LinuxInfo, Rlimit

USER_UID = 1000
OWN_HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def powers(*flags: str) -> Powers:
    loaded = configuration().load(flags, {})
    assert not isinstance(loaded, Shown)
    return Powers.of(loaded.settings)


def limited(resource_name: str, hard: int | None) -> ContainerInfo:
    return ContainerInfo(rlimits=(Rlimit(resource=resource_name, soft=hard if hard is None else 0, hard=hard),))


@pytest.mark.parametrize("caller_uid", [USER_UID, None])
def test_a_user_may_not_raise_a_limit_above_the_agents_own(caller_uid: int | None) -> None:
    allowed = powers()
    allowed.require(caller_uid, limited("RLMT_NOFILE", OWN_HARD))
    with pytest.raises(PermissionRefused) as refused:
        allowed.require(caller_uid, limited("RLMT_NOFILE", OWN_HARD + 1))
    words = str(refused.value)
    for part in ("container.rlimits[0]", "RLMT_NOFILE", str(OWN_HARD + 1), str(OWN_HARD), "--allowed-rlimits="):
        assert part in words
    with pytest.raises(PermissionRefused, match="hard limit unlimited"):
        allowed.require(caller_uid, limited("RLMT_NOFILE", None))


def test_the_second_of_two_is_found_too() -> None:
    two = ContainerInfo(
        rlimits=(
            Rlimit(resource="RLMT_CORE", soft=0, hard=0),
            Rlimit(resource="RLMT_NOFILE", soft=0, hard=OWN_HARD + 1),
        )
    )
    with pytest.raises(PermissionRefused, match=r"container\.rlimits\[1\]"):
        powers().require(USER_UID, two)


def test_the_operator_may_allow_more_and_never_takes_what_everybody_has() -> None:
    allowed = powers(f"--allowed-rlimits=RLMT_NOFILE={OWN_HARD + 5},RLMT_MEMLOCK=unlimited,RLMT_NPROC=1")
    allowed.require(USER_UID, limited("RLMT_NOFILE", OWN_HARD + 5))
    allowed.require(USER_UID, limited("RLMT_MEMLOCK", None))
    own_processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    allowed.require(USER_UID, limited("RLMT_NPROC", None if own_processes == resource.RLIM_INFINITY else own_processes))
    with pytest.raises(PermissionRefused, match=str(OWN_HARD + 6)):
        allowed.require(USER_UID, limited("RLMT_NOFILE", OWN_HARD + 6))


def test_only_the_operator_lets_a_user_gain_privileges() -> None:
    wish = ContainerInfo(linux=LinuxInfo(no_new_privileges=False))
    with pytest.raises(
        PermissionRefused, match=r"container\.linux\.no_new_privileges=false.*--allow-new-privileges=true"
    ):
        powers().require(USER_UID, wish)
    powers("--allow-new-privileges=true").require(USER_UID, wish)
    powers().require(USER_UID, ContainerInfo(linux=LinuxInfo(no_new_privileges=True)))


def test_capabilities_for_a_user_are_roots_to_give() -> None:
    wish = ContainerInfo(linux=LinuxInfo(effective_capabilities=("CAP_KILL",)))
    with pytest.raises(PermissionRefused, match="CAP_KILL"):
        powers("--allow-new-privileges=true").require(USER_UID, wish)


def test_root_may_ask_for_everything() -> None:
    linux = LinuxInfo(no_new_privileges=False, effective_capabilities=("CAP_KILL",))
    powers().require(0, ContainerInfo(linux=linux, rlimits=(Rlimit(resource="RLMT_RTPRIO"),)))


@pytest.mark.parametrize(
    "text", ["RTPRIO=1", "RLMT_RTPRIO", "RLMT_RTPRIO=", "RLMT_RTPRIO=-1", "RLMT_RTPRIO=1,RLMT_RTPRIO=2", "RLMT_CPU=x"]
)
def test_an_allowance_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"allowed.rlimits"):
        powers(f"--allowed-rlimits={text}")


BOTH = "--containerizers=docker,native"


def docker(**said: Any) -> ContainerInfo:
    return ContainerInfo(type=ContainerType.DOCKER, docker=DockerInfo(image=parse_image("busybox"), **said))


@pytest.mark.parametrize("caller_uid", [0, USER_UID])
def test_only_what_runs_here_is_taken(caller_uid: int) -> None:
    with pytest.raises(Unsupported, match=r"container.type = docker .*this agent runs native \(--containerizers\)"):
        powers().require(caller_uid, docker())
    powers(BOTH).require(caller_uid, docker())
    powers(BOTH).require(caller_uid, ContainerInfo())
    with pytest.raises(Unsupported, match=r"container.type = native .*this agent runs docker"):
        powers("--containerizers=docker").require(caller_uid, ContainerInfo())


def test_what_the_operator_allows_of_an_engine_holds_for_root_too() -> None:
    wish = docker(parameters=(("cpuset-cpus", "0"), ("userns", "host")))
    with pytest.raises(
        PermissionRefused, match=r"parameters\[userns\] \(host\).*--docker-allowed-parameters=.*,userns$"
    ):
        powers(BOTH).require(0, wish)
    powers(BOTH, "--docker-allowed-parameters=userns,cpuset-cpus").require(0, wish)
    with pytest.raises(PermissionRefused, match=r"parameters\[cpuset-cpus\]"):
        powers(BOTH, "--docker-allowed-parameters=").require(0, wish)
    with pytest.raises(PermissionRefused, match=r"privileged=true.*--docker-allow-privileged=true"):
        powers(BOTH).require(0, docker(privileged=True))
    powers(BOTH, "--docker-allow-privileged").require(0, docker(privileged=True))


@pytest.mark.parametrize(
    "said",
    [
        {"volumes": (DockerVolume(name="cache", container_path="/box"),)},
        {"tmpfs": (Tmpfs(path="/x"), Tmpfs(path="/box"))},
    ],
)
def test_nothing_is_put_where_the_sandbox_is(said: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="container.docker: '/box' .*the sandbox"):
        powers(BOTH, "--docker-mount-sandbox-at=/box").require(0, docker(**said))
    powers(BOTH).require(0, docker(**said))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("privileged", {"privileged": True}),
        ("image_user", {"image_user": True}),
        ("devices", {"devices": (DeviceMapping(host_path="/dev/null", container_path="/dev/null"),)}),
        ("volumes with a host_path", {"volumes": (DockerVolume(host_path="/srv", container_path="/srv"),)}),
    ],
)
@pytest.mark.parametrize("caller_uid", [USER_UID, None])
def test_what_an_engine_would_hand_over_of_the_host_is_roots_to_give(
    caller_uid: int | None, name: str, said: dict[str, Any]
) -> None:
    allowed = powers(BOTH, "--docker-allow-privileged")
    with pytest.raises(PermissionRefused, match=f"container.docker: {name}: .*have root launch it"):
        allowed.require(caller_uid, docker(**said))
    allowed.require(0, docker(**said))
    allowed.require(caller_uid, docker(volumes=(DockerVolume(name="cache", container_path="/srv"),)))
