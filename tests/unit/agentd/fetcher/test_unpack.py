"""Archives: what is inside comes out, and nothing comes out anywhere else, whatever the archive says."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentd.fetcher.beneath import Beneath
from agentd.fetcher.failure import FetchFailure
from agentd.fetcher.position import OwnPosition
from agentd.fetcher.unpack import unpack
from paddock.model.uri import ArchiveKind

MODES = {ArchiveKind.TAR: "w", ArchiveKind.TAR_GZIP: "w:gz", ArchiveKind.TAR_BZIP2: "w:bz2", ArchiveKind.TAR_XZ: "w:xz"}
LIMIT_BYTES = 100_000


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def tar(*entries: tuple[tarfile.TarInfo, bytes], kind: ArchiveKind = ArchiveKind.TAR) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=MODES[kind]) as archive:  # type: ignore[call-overload]
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def zipped(*entries: tuple[str, bytes, int]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return target.getvalue()


def unpacked(content: bytes, kind: ArchiveKind, directory: Path, limit_bytes: int = LIMIT_BYTES) -> None:
    target = Beneath(str(directory), limit_bytes=limit_bytes)
    try:
        unpack(io.BytesIO(content), kind, target)
    finally:
        target.close()


@pytest.mark.parametrize("kind", MODES)
def test_what_is_in_a_tar_comes_out_without_its_powers(kind: ArchiveKind, tmp_path: Path) -> None:
    content = tar(
        (entry("d/", tarfile.DIRTYPE, mode=0o500), b""),
        (entry("./d/tool", mode=0o6755), b"tool"),
        (entry("same", tarfile.LNKTYPE, "d/tool"), b""),
        (entry("d/up", tarfile.SYMTYPE, "../same"), b""),
        (entry("é ü"), b"name"),
        kind=kind,
    )
    unpacked(content, kind, tmp_path)
    assert (tmp_path / "d/tool").read_bytes() == b"tool"
    assert stat.S_IMODE((tmp_path / "d/tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o500
    assert (tmp_path / "same").samefile(tmp_path / "d/tool")
    assert (tmp_path / "d/up").readlink() == Path("../same")
    assert (tmp_path / "é ü").read_bytes() == b"name"


def test_what_is_in_a_zip_comes_out(tmp_path: Path) -> None:
    content = zipped(
        ("d/", b"", stat.S_IFDIR | 0o755),
        ("d/tool", b"tool", stat.S_IFREG | 0o4755),
        ("plain", b"x", 0),
        ("link", b"d/tool", stat.S_IFLNK | 0o777),
    )
    unpacked(content, ArchiveKind.ZIP, tmp_path)
    assert stat.S_IMODE((tmp_path / "d/tool").stat().st_mode) == 0o755
    assert (tmp_path / "link").read_bytes() == b"tool"
    assert stat.S_IMODE((tmp_path / "plain").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([(entry("/etc/x"), b"")], "outside"),
        ([(entry("../x"), b"")], "outside"),
        ([(entry("a/../../x"), b"")], "outside"),
        ([(entry("null", tarfile.CHRTYPE), b"")], "device"),
        ([(entry("sda", tarfile.BLKTYPE), b"")], "device"),
        ([(entry("pipe", tarfile.FIFOTYPE), b"")], "FIFO"),
        ([(entry("l", tarfile.SYMTYPE, "/etc"), b"")], "outside"),
        ([(entry("l", tarfile.SYMTYPE, "../x"), b"")], "outside"),
        ([(entry("a/l", tarfile.SYMTYPE, "../../x"), b"")], "outside"),
        # y leads to the top; through it z would lead above it.
        ([(entry("a/y", tarfile.SYMTYPE, ".."), b""), (entry("a/z", tarfile.SYMTYPE, "y/../x"), b"")], "outside"),
        ([(entry("l", tarfile.SYMTYPE, "d"), b""), (entry("l/x"), b"")], "no directory"),
        ([(entry("d/", tarfile.DIRTYPE), b""), (entry("l", tarfile.SYMTYPE, "d"), b""), (entry("l/x"), b"")], "link"),
        ([(entry("h", tarfile.LNKTYPE, "../x"), b"")], "outside"),
        ([(entry("l", tarfile.SYMTYPE, "x"), b""), (entry("h", tarfile.LNKTYPE, "l"), b"")], "no file"),
        ([(entry("h", tarfile.LNKTYPE, "missing"), b"")], "hard link"),
        ([(entry("stdout"), b"")], "own output"),
        ([(entry("big"), b"x" * (LIMIT_BYTES + 1))], "larger than"),
        ([(entry("a"), b"x" * 60_000), (entry("b"), b"x" * 60_000)], "larger than"),
        ([(entry("d/", tarfile.DIRTYPE), b""), (entry("d"), b"")], "directory already"),
    ],
)
def test_what_would_harm_is_refused_by_name(
    entries: list[tuple[tarfile.TarInfo, bytes]], words: str, tmp_path: Path
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(FetchFailure, match=words):
        unpacked(tar(*entries), ArchiveKind.TAR, inside)
    assert os.listdir(tmp_path) == ["inside"]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("../x", b"", 0)], "outside"),
        ([("l", b"/etc/passwd", stat.S_IFLNK | 0o777)], "outside"),
        ([("dev", b"", stat.S_IFCHR | 0o666)], "device"),
        ([("bomb", bytes(LIMIT_BYTES + 1), 0)], "larger than"),
    ],
)
def test_what_would_harm_in_a_zip_too(entries: list[tuple[str, bytes, int]], words: str, tmp_path: Path) -> None:
    with pytest.raises(FetchFailure, match=words):
        unpacked(zipped(*entries), ArchiveKind.ZIP, tmp_path)


def test_a_link_that_stands_there_already_is_not_written_through(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (inside / "d").symlink_to(outside)
    (inside / "f").symlink_to(outside / "f")
    with pytest.raises(FetchFailure, match="link leads to it"):
        unpacked(tar((entry("d/x"), b"x")), ArchiveKind.TAR, inside)
    unpacked(tar((entry("f"), b"new")), ArchiveKind.TAR, inside)
    assert not (inside / "f").is_symlink()
    assert os.listdir(outside) == []


@pytest.mark.parametrize("kind", ArchiveKind)
def test_damage_is_told(kind: ArchiveKind, tmp_path: Path) -> None:
    content = (
        zipped(("a", os.urandom(4000), 0))
        if kind is ArchiveKind.ZIP
        else tar((entry("a"), os.urandom(4000)), (entry("b"), os.urandom(4000)), kind=kind)
    )
    for damaged in (content[: len(content) // 2], b"", b"not an archive at all" * 100):
        with pytest.raises(FetchFailure, match="damaged|unpacked|should have"):
            unpacked(damaged, kind, tmp_path)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    content = bytearray(tar((entry("a"), b"x"), (entry("b"), b"y")))
    content[1024 + 150] ^= 0xFF  # in b's header, the checksum
    with pytest.raises(FetchFailure, match="header at byte 1024"):
        unpacked(bytes(content), ArchiveKind.TAR, tmp_path)


names = st.text(st.sampled_from("ab./\0é"), min_size=1, max_size=8)
kinds = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])


def is_ring(link: Path) -> bool:
    try:
        link.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


@given(st.lists(st.tuples(names, kinds, names, st.integers(0, 0o7777)), max_size=6))
@example([("a", tarfile.SYMTYPE, "a//", 0)])
@settings(max_examples=150, deadline=None)
def test_no_archive_of_any_names_and_links_reaches_outside(entries: list[tuple[str, bytes, str, int]]) -> None:
    content = tar(
        *(
            (entry(name, kind, link, mode), b"x" if kind == tarfile.REGTYPE else b"")
            for name, kind, link, mode in entries
        )
    )
    with tempfile.TemporaryDirectory() as path:
        outer = Path(path)
        inside = outer / "inside"
        inside.mkdir()
        try:
            unpacked(content, ArchiveKind.TAR, inside)
        except FetchFailure:
            pass
        assert os.listdir(outer) == ["inside"]
        for root, directories, files in os.walk(inside):
            for name in (*directories, *files):
                found = Path(root, name)
                if found.is_symlink():
                    # A ring of links leads nowhere; Python takes some of them to lead to the root.
                    if not is_ring(found):
                        assert found.resolve(strict=False).is_relative_to(inside.resolve())
                else:
                    assert stat.S_IMODE(found.lstat().st_mode) & 0o7000 == 0


@given(st.binary(max_size=300), st.sampled_from(ArchiveKind))
@settings(max_examples=80, deadline=None)
def test_any_bytes_are_an_archive_or_an_error_of_ours(content: bytes, kind: ArchiveKind) -> None:
    with tempfile.TemporaryDirectory() as path:
        try:
            unpacked(content, kind, Path(path))
        except FetchFailure:
            pass  # anything else is a defect


@pytest.mark.parametrize("kind", ArchiveKind)
def test_two_who_have_the_same_descriptor_do_not_move_each_other(kind: ArchiveKind, tmp_path: Path) -> None:
    contents = {f"f{number}": os.urandom(3000) for number in range(20)}
    whole = (
        zipped(*((name, content, 0) for name, content in contents.items()))
        if kind is ArchiveKind.ZIP
        else tar(*((entry(name), content) for name, content in contents.items()), kind=kind)
    )
    path = tmp_path / "archive"
    path.write_bytes(whole)
    fd = os.open(path, os.O_RDONLY)
    fds = [fd, os.dup(fd)]

    def one(number: int) -> None:
        target = Beneath(str(tmp_path / str(number)), limit_bytes=LIMIT_BYTES)
        with io.BufferedReader(OwnPosition(fds[number])) as source:
            unpack(source, kind, target)
        target.close()

    for number in (0, 1):
        (tmp_path / str(number)).mkdir()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, (0, 1)))
    for number in (0, 1):
        assert {each.name: each.read_bytes() for each in (tmp_path / str(number)).iterdir()} == contents
    for each in fds:
        os.close(each)


@given(
    st.binary(max_size=200), st.lists(st.tuples(st.integers(-50, 250), st.sampled_from([0, 1, 2]), st.integers(0, 60)))
)
@settings(max_examples=60, deadline=None)
def test_a_position_of_ones_own_is_read_as_any_files(content: bytes, moves: list[tuple[int, int, int]]) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        expected, ours = io.BytesIO(content), io.BufferedReader(OwnPosition(file.fileno()))
        for offset, whence, count in moves:
            if whence == 0 and offset < 0:
                continue
            if (whence == 1 and expected.tell() + offset < 0) or (whence == 2 and len(content) + offset < 0):
                with pytest.raises(ValueError, match="before the beginning|negative"):
                    ours.seek(offset, whence)
                ours.seek(expected.tell())
                continue
            assert expected.seek(offset, whence) == ours.seek(offset, whence)
            assert expected.read(count) == ours.read(count)
