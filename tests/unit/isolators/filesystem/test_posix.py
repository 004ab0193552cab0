"""filesystem/posix: the environment of a task, and what is refused."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from isolators.contract import IsolatorSettings
from isolators.filesystem.posix import PosixFilesystemIsolator
from isolators.testing import sample_container, sample_host
from paddock.model.container import ContainerConfig
from paddock.model.errors import ContainerizerError, InvalidRequest
from paddock.model.ids import NO_FRAMEWORK_ID, NO_TASK_ID, ContainerId
from paddock.model.launch_plan import MountStep, with_environment
from paddock.model.resources import DiskVolume, Reservation, Resource, Resources, Scalar
from paddock.model.volumes import VolumeKey, volume_directory, volumes_root


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


def volume(name: str = "v", path: str = "", *, read_only: bool = False) -> Resource:
    return Resource(
        name="disk",
        value=Scalar(milli=1000),
        reservations=(Reservation(role="r"),),
        volume=DiskVolume(persistence_id=name, container_path=path, read_only=read_only),
    )


class WithVolumes:
    """An isolator whose agent has made the directories of volumes `v` and `w`."""

    def __init__(self, work_dir: Path) -> None:
        self.host = sample_host(work_dir, "v1")
        self.settings = IsolatorSettings(work_dir=str(work_dir))
        self.isolator = PosixFilesystemIsolator(self.host, self.settings)
        self.work_dir = work_dir
        for name in "vw":
            self.directory(name).mkdir(parents=True)

    def directory(self, name: str = "v") -> Path:
        root = volumes_root(str(self.work_dir), self.host.agent_id)
        return Path(volume_directory(root, VolumeKey(role="r", persistence_id=name)))

    def container(self, *volumes: Resource, name: str = "c1", uid: int | None = None) -> ContainerConfig:
        made = sample_container(self.work_dir / "sandboxes" / name)
        user = replace(made.user, uid=os.getuid() if uid is None else uid, gid=os.getgid() if uid is None else uid)
        resources = Resources((*made.resources, *volumes))
        return replace(made, container_id=ContainerId(name), resources=resources, user=user)


@pytest.fixture
def on(tmp_path: Path) -> WithVolumes:
    return WithVolumes(tmp_path)


def test_a_volume_is_where_it_is_to_be(on: WithVolumes) -> None:
    container = on.container(volume(), volume("w", "a/b/store"))
    plan = on.isolator.prepare(container)
    sandbox = Path(container.sandbox)
    (sandbox / "v" / "written").touch()
    assert (on.directory() / "written").exists()
    assert (sandbox / "a/b/store").readlink() == on.directory("w")
    assert not (sandbox / "a").is_symlink()
    assert (plan.namespaces, plan.mounts) == ((), ())


def test_a_read_only_one_is_mounted_onto_itself_where_no_task_can_have_put_a_link(on: WithVolumes) -> None:
    plan = on.isolator.prepare(on.container(volume(read_only=True)))
    path = str(on.directory())
    assert plan.namespaces == ("mnt",)
    flags = ("bind", "ro", "nosuid", "nodev")
    assert plan.mounts == (MountStep(source=path, target=path, type="", flags=flags),)


def test_one_that_is_not_there_is_refused_and_nothing_is_made(on: WithVolumes) -> None:
    on.directory().rmdir()
    with pytest.raises(ContainerizerError, match=r"volume v: .*No such file.*doctor") as refused:
        on.isolator.prepare(on.container(volume()))
    assert refused.value.stage == "volume"
    assert not on.directory().exists()


def test_a_link_in_the_place_of_its_directory_is_not_followed(on: WithVolumes, tmp_path: Path) -> None:
    on.directory().rmdir()
    on.directory().symlink_to(tmp_path)
    with pytest.raises(ContainerizerError):
        on.isolator.prepare(on.container(volume()))


@pytest.mark.parametrize("path", ["/etc", "../c2", "a/../../x", "stdout", "stderr/x", "a//b", "a\0b"])
def test_a_place_outside_the_sandbox_is_refused_by_name(on: WithVolumes, path: str) -> None:
    with pytest.raises(InvalidRequest, match=r"resources\[3\]\.volume\.container_path"):
        on.isolator.prepare(on.container(volume(path=path)))


def test_two_at_one_place_are_refused(on: WithVolumes) -> None:
    with pytest.raises(InvalidRequest, match="both to be at a"):
        on.isolator.prepare(on.container(volume(path="a"), volume("w", "a/b")))


@pytest.mark.parametrize("planted", ["link", "file", "link above"])
def test_what_another_process_of_the_user_has_planted_is_not_followed(
    on: WithVolumes, tmp_path: Path, planted: str
) -> None:
    container = on.container(volume(path="a/b"))
    sandbox, outside = Path(container.sandbox), tmp_path / "outside"
    outside.mkdir()
    if planted == "link above":
        (sandbox / "a").symlink_to(outside)
    else:
        (sandbox / "a").mkdir()
        if planted == "link":
            (sandbox / "a" / "b").symlink_to(outside)
        else:
            (sandbox / "a" / "b").touch()
    with pytest.raises(ContainerizerError, match="volume v cannot be put at a/b"):
        on.isolator.prepare(container)
    assert list(outside.iterdir()) == []
