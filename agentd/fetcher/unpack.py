"""Archives, entry by entry, into a directory that lets nothing out: regular files, directories and links; nothing else."""

from __future__ import annotations

import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from agentd.fetcher.beneath import Beneath
from agentd.fetcher.failure import FetchFailure
from paddock.model.uri import ArchiveKind

_PIECE_BYTES = 256 * 1024
_LINK_LIMIT_BYTES = 4_096
_TAR_MODES = {
    ArchiveKind.TAR: "r:",
    ArchiveKind.TAR_GZIP: "r:gz",
    ArchiveKind.TAR_BZIP2: "r:bz2",
    ArchiveKind.TAR_XZ: "r:xz",
}
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    MemoryError,
    LookupError,
)
"""All that the libraries say of an archive that is damaged, encrypted, or made to harm."""


def unpack(source: IO[bytes], kind: ArchiveKind, target: Beneath) -> None:
    """Raises FetchFailure; what was unpacked until then stays."""
    try:
        if kind is ArchiveKind.ZIP:
            _unpack_zip(source, target)
        else:
            _unpack_tar(source, kind, target)
    except _BROKEN as error:
        raise FetchFailure(f"it is no {kind.value} archive, or damaged: {error or type(error).__name__}") from None
    except OSError as error:
        # What bz2 and gzip call a broken stream, too.
        raise FetchFailure(f"it cannot be unpacked as {kind.value}: {error}") from None


def _unpack_tar(source: IO[bytes], kind: ArchiveKind, target: Beneath) -> None:
    with tarfile.open(fileobj=source, mode=_TAR_MODES[kind]) as archive:  # type: ignore[call-overload]
        while (entry := archive.next()) is not None:
            # It keeps what it has seen: a million entries need not stay.
            archive.members = []
            if entry.isdir():
                target.add_directory(entry.name, entry.mode)
            elif entry.isreg():
                content = archive.extractfile(entry)
                assert content is not None
                target.add_file(entry.name, _pieces(content, entry.size, entry.name), entry.mode)
            elif entry.issym():
                target.add_symlink(entry.name, entry.linkname)
            elif entry.islnk():
                target.add_hard_link(entry.name, entry.linkname)
            else:
                raise FetchFailure(f"its entry {entry.name!r} is a device, a FIFO or something else: refused")
        _check_end(archive)


def _check_end(archive: tarfile.TarFile) -> None:
    """The library takes a damaged header for the end."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"the header at byte {archive.offset} is none")


def _unpack_zip(source: IO[bytes], target: Beneath) -> None:
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            kind = stat.S_IFMT(mode)
            if entry.is_dir():
                target.add_directory(entry.filename, mode & 0o777 or 0o755)
                continue
            if kind not in {0, stat.S_IFREG, stat.S_IFLNK}:
                raise FetchFailure(f"its entry {entry.filename!r} is a device, a FIFO or something else: refused")
            with archive.open(entry) as content:
                if kind == stat.S_IFLNK:
                    link = content.read(_LINK_LIMIT_BYTES).decode("utf-8", "surrogateescape")
                    target.add_symlink(entry.filename, link)
                else:
                    pieces = _pieces(content, entry.file_size, entry.filename)
                    target.add_file(entry.filename, pieces, mode & 0o777 or 0o644)


def _pieces(content: IO[bytes], size_bytes: int, name: str) -> Iterator[bytes]:
    """Exactly as much as the archive's own list says."""
    left_bytes = size_bytes
    while piece := content.read(_PIECE_BYTES):
        left_bytes -= len(piece)
        yield piece
    if left_bytes:
        raise FetchFailure(f"its entry {name!r} has not the {size_bytes} bytes that it should have")
