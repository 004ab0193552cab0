"""filesystem/posix: the environment of a task, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from isolators.contract import IsolatorSettings
from isolators.filesystem.posix import PosixFilesystemIsolator
from isolators.testing import sample_container, sample_host
from paddock.model.container import ContainerConfig
from paddock.model.errors import Unsupported
from paddock.model.ids import NO_FRAMEWORK_ID, NO_TASK_ID
from paddock.model.launch_plan import with_environment
from paddock.model.resources import DiskVolume, Resource, Resources, Scalar


@pytest.fixture
def isolator(tmp_path: Path) -> PosixFilesystemIsolator:
    return PosixFilesystemIsolator(sample_host(tmp_path, "v1"), IsolatorSettings())


@pytest.fixture
def container(tmp_path: Path) -> ContainerConfig:
    return sample_container(tmp_path / "sandbox")


def test_our_names_and_mesos_beside_them(isolator: PosixFilesystemIsolator, container: ContainerConfig) -> None:
    container = replace(container, resources=container.resources.allocated_to("prod"))
    found = dict(isolator.prepare(container).environment)
    sandbox = container.sandbox
    assert found == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "USER": "root",
        "LOGNAME": "root",
        "PADDOCK_SANDBOX": sandbox,
        "MESOS_SANDBOX": sandbox,
        "MESOS_DIRECTORY": sandbox,
        "PADDOCK_CONTAINER_ID": "contract-container",
        "MESOS_CONTAINER_NAME": "contract-container",
        "PADDOCK_AGENT_ID": "contract",
        "MESOS_AGENT_ID": "contract",
        "MESOS_SLAVE_ID": "contract",
        "PADDOCK_FRAMEWORK_ID": "framework",
        "MESOS_FRAMEWORK_ID": "framework",
        "PADDOCK_TASK_ID": "task",
        "MESOS_TASK_ID": "task",
        "MESOS_EXECUTOR_ID": "task",
        "PADDOCK_ALLOCATION_ROLE": "prod",
        "MESOS_ALLOCATION_ROLE": "prod",
    }


def test_nothing_of_the_agents_own(
    isolator: PosixFilesystemIsolator, container: ContainerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PADDOCK_SECRET_OF_THE_AGENT", "1")
    assert "PADDOCK_SECRET_OF_THE_AGENT" not in dict(isolator.prepare(container).environment)


def test_a_standalone_container_has_no_task(isolator: PosixFilesystemIsolator, container: ContainerConfig) -> None:
    standalone = replace(container, task_id=NO_TASK_ID, framework_id=NO_FRAMEWORK_ID)
    assert not [name for name, _ in isolator.prepare(standalone).environment if "TASK" in name or "FRAMEWORK" in name]


def test_the_tasks_own_wins(isolator: PosixFilesystemIsolator, container: ContainerConfig) -> None:
    plan = with_environment(isolator.prepare(container), (("HOME", "/elsewhere"), ("NEW", "1")))
    found = dict(plan.environment)
    assert (found["HOME"], found["NEW"], found["USER"]) == ("/elsewhere", "1", "root")


def test_a_volume_is_refused_by_name(isolator: PosixFilesystemIsolator, container: ContainerConfig) -> None:
    volume = Resource(name="disk", value=Scalar(milli=1000), volume=DiskVolume(persistence_id="v"))
    wanted = Resources.of((*container.resources.items, volume))
    with pytest.raises(Unsupported, match=r"resources\[3\]\.volume"):
        isolator.prepare(replace(container, resources=wanted))
