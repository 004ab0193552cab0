"""Sandboxes on a real file system: made for their user, read without ever leaving them."""

import fcntl
import os
import stat
import struct
from pathlib import Path

import pytest

from agentd.sandbox import FileType, list_files, make_home, make_sandbox, open_file, read_file, sandbox_path
from paddock.kernel.paths import spread_trees
from paddock.model.container import UserIdentity
from paddock.model.errors import ContainerizerError, InvalidRequest, NotFound
from paddock.model.ids import AgentId, ContainerId, FrameworkId, TaskId

ME = UserIdentity(name="me", uid=os.getuid(), gid=os.getgid(), groups=(), home="/")
C = ContainerId("c1")


def test_the_layout_is_mesos_with_tasks_for_executors() -> None:
    agent = AgentId("a")
    assert sandbox_path("/w", agent, FrameworkId("f"), TaskId("t"), C) == "/w/agents/a/frameworks/f/tasks/t/runs/c1"
    assert sandbox_path("/w", agent, FrameworkId(""), TaskId(""), C) == "/w/agents/a/containers/c1"


def test_it_is_the_users_alone_and_reachable_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_sandbox(f"{tmp_path}/a/b/c1", ME, C)
    finally:
        os.umask(before)
    assert (tmp_path / "a/b/c1").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o711


def test_one_that_is_there_is_refused(tmp_path: Path) -> None:
    make_sandbox(f"{tmp_path}/c1", ME, C)
    with pytest.raises(ContainerizerError, match="--work-dir") as refused:
        make_sandbox(f"{tmp_path}/c1", ME, C)
    assert refused.value.stage == "sandbox"


def test_a_work_dir_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ContainerizerError, match="Not a directory"):
        make_sandbox(f"{tmp_path}/file/c1", ME, C)


def test_pieces_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"0123456789")
    assert read_file(str(tmp_path), "log", 3, 4) == (b"3456", 10)
    assert read_file(str(tmp_path), "log", 10, 4) == (b"", 10)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "d/../../x", "link", "dir/link/x", "fifo", "dir", "a\0b", "x" * 5000]
)
def test_nothing_leads_out(tmp_path: Path, path: str) -> None:
    sandbox = tmp_path / "s"
    (sandbox / "dir").mkdir(parents=True)
    (sandbox / "link").symlink_to("/etc/passwd")
    (sandbox / "dir" / "link").symlink_to("/")
    os.mkfifo(sandbox / "fifo")
    (tmp_path / "x").touch()
    with pytest.raises(InvalidRequest), open_file(str(sandbox), path):
        pass


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="file"), open_file(str(tmp_path), "no/such"):
        pass
    with pytest.raises(NotFound, match="sandbox"), open_file(str(tmp_path / "gone"), "x"):
        pass


def test_a_list_tells_what_each_is_and_follows_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"123")
    (tmp_path / "link").symlink_to("/")
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))).touch()
    found = {
        info.path: (info.type, info.size_bytes if info.type is FileType.REGULAR else 0)
        for info in list_files(str(tmp_path), "", after="", limit_count=9)[0]
    }
    assert found == {
        "d": (FileType.DIRECTORY, 0),
        "file": (FileType.REGULAR, 3),
        "link": (FileType.SYMLINK, 0),
        "pipe": (FileType.OTHER, 0),
        "\ufffd": (FileType.REGULAR, 0),
    }
    (tmp_path / "d" / "inner").touch()
    files, token = list_files(str(tmp_path), "d", after="", limit_count=9)
    assert ([info.path for info in files], token) == (["d/inner"], "")


def test_only_the_page_of_a_large_directory_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        (tmp_path / f"{number:02d}").touch()
    looked: list[str] = []
    stat = os.stat

    def counted(name: str, **how: object) -> os.stat_result:
        looked.append(name)
        return stat(name, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", counted)
    first, token = list_files(str(tmp_path), "", after="", limit_count=2)
    second, _ = list_files(str(tmp_path), "", after=token, limit_count=2)
    monkeypatch.undo()
    assert [info.path for info in (*first, *second)] == looked == ["00", "01", "02", "03"]
    last, token = list_files(str(tmp_path), "", after="47", limit_count=2)
    assert ([info.path for info in last], token) == (["48", "49"], "")


def is_top_of_trees(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        return bool(struct.unpack("2i", fcntl.ioctl(fd, 0x80086601, bytes(8)))[0] & 0x20000)
    except OSError:
        return False
    finally:
        os.close(fd)


def test_all_of_an_agent_is_away_from_what_others_make_on_the_same_disk(tmp_path: Path) -> None:
    agents = tmp_path / "work" / "agents"
    for _ in range(2):
        make_home(f"{tmp_path}/work", AgentId("a1"))
        assert stat.S_IMODE((agents / "a1").stat().st_mode) == 0o711
        # Where the file system knows it, it is so: of the directory of all agents, and of nothing below.
        assert is_top_of_trees(agents) == spread_trees(str(agents))
        assert not is_top_of_trees(agents / "a1")


def test_a_file_system_that_knows_no_regions_is_no_error() -> None:
    assert spread_trees("/proc/self") is False


def test_a_work_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("")
    with pytest.raises(NotADirectoryError):
        make_home(f"{tmp_path}/work", AgentId("a1"))
