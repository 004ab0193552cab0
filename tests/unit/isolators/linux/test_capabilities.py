"""linux/capabilities: Docker's fourteen, what a task may ask for, and what each user really gets."""

from dataclasses import replace
from pathlib import Path

import pytest

from isolators.contract import HostFacts, IsolatorSettings
from isolators.linux.capabilities import CapabilitiesIsolator
from isolators.testing import sample_container, sample_host
from paddock.kernel.capabilities import NAMES
from paddock.model.capabilities import DEFAULT_BOUNDING
from paddock.model.errors import ConfigError, ContainerizerError, InvalidRequest
from paddock.model.launch_plan import Capabilities
from paddock.model.task import ContainerInfo, LinuxInfo


@pytest.fixture
def host(tmp_path: Path) -> HostFacts:
    return replace(sample_host(tmp_path, "v1"), capabilities=tuple(n for n in NAMES if n != "CAP_SYS_RESOURCE"))


def planned(
    host: HostFacts, tmp_path: Path, linux: LinuxInfo, uid: int = 0, settings: IsolatorSettings | None = None
) -> Capabilities:
    container = sample_container(tmp_path / "sandbox")
    container = replace(container, container=ContainerInfo(linux=linux), user=replace(container.user, uid=uid))
    found = CapabilitiesIsolator(host, settings or IsolatorSettings()).prepare(container).capabilities
    assert found is not None
    return found


def test_root_has_dockers_fourteen(host: HostFacts, tmp_path: Path) -> None:
    found = planned(host, tmp_path, LinuxInfo())
    assert len(DEFAULT_BOUNDING) == 14
    assert found == Capabilities(bounding=DEFAULT_BOUNDING, effective=DEFAULT_BOUNDING)


def test_another_user_has_none_unless_asked_by_name(host: HostFacts, tmp_path: Path) -> None:
    assert planned(host, tmp_path, LinuxInfo(), uid=1000) == Capabilities(bounding=DEFAULT_BOUNDING, effective=())
    asked = LinuxInfo(effective_capabilities=("CAP_NET_RAW", "CAP_KILL"))
    kept = ("CAP_KILL", "CAP_NET_RAW")
    expected = Capabilities(bounding=DEFAULT_BOUNDING, effective=kept, ambient=kept)
    assert planned(host, tmp_path, asked, uid=1000) == expected


def test_a_task_may_ask_for_fewer(host: HostFacts, tmp_path: Path) -> None:
    found = planned(host, tmp_path, LinuxInfo(bounding_capabilities=("CAP_KILL",)))
    assert found == Capabilities(bounding=("CAP_KILL",), effective=("CAP_KILL",))
    assert planned(host, tmp_path, LinuxInfo(bounding_capabilities=())) == Capabilities(bounding=(), effective=())


def test_fewer_effective_means_fewer_bounding_for_root(host: HostFacts, tmp_path: Path) -> None:
    found = planned(host, tmp_path, LinuxInfo(effective_capabilities=("CAP_KILL",)))
    assert found == Capabilities(bounding=("CAP_KILL",), effective=("CAP_KILL",))


def test_the_operator_may_allow_more(host: HostFacts, tmp_path: Path) -> None:
    asked = LinuxInfo(bounding_capabilities=("CAP_SYS_PTRACE",))
    with pytest.raises(ContainerizerError, match="CAP_SYS_PTRACE is not allowed"):
        planned(host, tmp_path, asked)
    settings = IsolatorSettings(bounding_capabilities=("CAP_KILL", "CAP_SYS_PTRACE"))
    assert planned(host, tmp_path, asked, settings=settings).bounding == ("CAP_SYS_PTRACE",)
    assert planned(host, tmp_path, LinuxInfo(), settings=settings).effective == ("CAP_KILL", "CAP_SYS_PTRACE")


def test_the_operators_effective_set_is_a_default(host: HostFacts, tmp_path: Path) -> None:
    settings = IsolatorSettings(effective_capabilities=("CAP_KILL",))
    assert planned(host, tmp_path, LinuxInfo(), settings=settings).effective == ("CAP_KILL",)
    asked = LinuxInfo(effective_capabilities=("CAP_CHOWN",))
    assert planned(host, tmp_path, asked, settings=settings).effective == ("CAP_CHOWN",)


def test_what_the_host_lacks_is_left_out_of_the_default_and_refused_by_name(host: HostFacts, tmp_path: Path) -> None:
    poor = replace(host, capabilities=("CAP_KILL", "CAP_CHOWN"))
    assert planned(poor, tmp_path, LinuxInfo()).bounding == ("CAP_CHOWN", "CAP_KILL")
    with pytest.raises(ContainerizerError, match="CAP_NET_RAW is not allowed"):
        planned(poor, tmp_path, LinuxInfo(effective_capabilities=("CAP_NET_RAW",)))


@pytest.mark.parametrize(
    "linux",
    [
        LinuxInfo(bounding_capabilities=("NET_RAW",)),
        LinuxInfo(effective_capabilities=("CAP_NONSENSE",)),
        LinuxInfo(bounding_capabilities=("CAP_KILL",), effective_capabilities=("CAP_KILL", "CAP_CHOWN")),
    ],
)
def test_what_could_never_be_is_an_invalid_request(host: HostFacts, tmp_path: Path, linux: LinuxInfo) -> None:
    with pytest.raises(InvalidRequest):
        planned(host, tmp_path, linux)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (IsolatorSettings(bounding_capabilities=("CAP_X", "CAP_KILL")), "--bounding_capabilities: CAP_X is unknown"),
        (IsolatorSettings(bounding_capabilities=("CAP_SYS_RESOURCE",)), "does not have it itself"),
        (IsolatorSettings(effective_capabilities=("CAP_SYS_ADMIN",)), "must be in --bounding_capabilities too"),
    ],
)
def test_flags_that_cannot_hold_stop_the_agent(host: HostFacts, settings: IsolatorSettings, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CapabilitiesIsolator(host, settings)
