"""filesystem/posix as root: to whom the directory of a volume is given, and when."""

from pathlib import Path

import pytest

from isolators.contract import LiveContainer
from isolators.filesystem.posix import PosixFilesystemIsolator
from paddock.model.ids import ContainerId
from tests.unit.isolators.filesystem.test_posix import WithVolumes, volume

pytestmark = pytest.mark.no_cgroups


@pytest.fixture
def on(tmp_path: Path) -> WithVolumes:
    return WithVolumes(tmp_path)


def test_its_directory_is_the_users_unless_somebody_else_has_it_now(on: WithVolumes) -> None:
    on.isolator.prepare(on.container(volume("w", "deep/er"), volume(), uid=12345))
    assert (on.directory().stat().st_uid, on.directory().stat().st_gid) == (12345, 12345)
    assert (on.work_dir / "sandboxes/c1/deep").stat().st_uid == 12345
    on.isolator.prepare(on.container(volume(), name="c2", uid=23456))
    assert on.directory().stat().st_uid == 12345
    on.isolator.cleanup(ContainerId("c1"))
    on.isolator.prepare(on.container(volume(), name="c3", uid=34567))
    assert on.directory().stat().st_uid == 12345  # c2 has it
    on.isolator.cleanup(ContainerId("c2"))
    on.isolator.cleanup(ContainerId("c3"))
    on.isolator.prepare(on.container(volume(read_only=True), name="c4", uid=45678))
    assert on.directory().stat().st_uid == 12345
    on.isolator.cleanup(ContainerId("c4"))
    (on.directory() / "kept").touch()
    on.isolator.prepare(on.container(volume(), name="c5", uid=45678))
    assert (on.directory().stat().st_uid, (on.directory() / "kept").stat().st_uid) == (45678, 0)


def test_an_agent_that_comes_back_knows_who_has_it(on: WithVolumes) -> None:
    container = on.container(volume(), uid=12345)
    on.isolator.prepare(container)
    isolator = PosixFilesystemIsolator(on.host, on.settings)
    live = LiveContainer(config=container, cgroup=on.host.place(container.container_id), pid=1)
    isolator.recover([live], [])
    isolator.prepare(on.container(volume(), name="c2", uid=23456))
    assert on.directory().stat().st_uid == 12345
    # Planned once more for an exec: the task may have done with its link what it wants.
    link = Path(container.sandbox) / "v"
    link.unlink()
    link.mkdir()
    isolator.prepare(container)
    assert not link.is_symlink()
