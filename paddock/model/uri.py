"""What a command wants in its sandbox before it begins: one URI each, and the rule for what is accepted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote, urlsplit

from paddock.model.errors import InvalidRequest

URI_LIMIT_BYTES = 4_096
_RESERVED = re.compile(r"(stdout|stderr)(\.[0-9]+)?", re.ASCII)
_NO_HOST = frozenset('<>"{}|\\^`%\x7f')
_DIGEST_CHARACTERS = {"sha256": 64, "sha512": 128}
_DIGEST = re.compile(r"(sha256|sha512):([0-9a-f]+)", re.ASCII)


class ArchiveKind(Enum):
    """What is unpacked, told by the name alone."""

    TAR = "tar"
    TAR_GZIP = "tar.gz"
    TAR_BZIP2 = "tar.bz2"
    TAR_XZ = "tar.xz"
    ZIP = "zip"


_SUFFIXES = (
    (".tar", ArchiveKind.TAR),
    (".tar.gz", ArchiveKind.TAR_GZIP),
    (".tgz", ArchiveKind.TAR_GZIP),
    (".tar.bz2", ArchiveKind.TAR_BZIP2),
    (".tbz2", ArchiveKind.TAR_BZIP2),
    (".tar.xz", ArchiveKind.TAR_XZ),
    (".txz", ArchiveKind.TAR_XZ),
    (".zip", ArchiveKind.ZIP),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandUri:
    """One thing to fetch. `value`: http(s)://…, file:///path or an absolute path of the agent's host.

    `extract`: unpack it when its name says that it is an archive. `executable`: a program, never unpacked. `output_file`: where
    in the sandbox; empty: the last part of the URI's path. `checksum`: `sha256:` or `sha512:` and lower-case hex digits.
    """

    value: str
    executable: bool = False
    extract: bool = True
    cache: bool = False
    output_file: str = ""
    checksum: str = ""

    @property
    def file_name(self) -> str:
        """Where it goes, relative to the sandbox. Empty when the URI names no file."""
        if self.output_file:
            return self.output_file
        path = (
            self.value if self.value.startswith("/") else unquote(urlsplit(self.value).path, errors="surrogateescape")
        )
        return path.rpartition("/")[2]

    @property
    def archive(self) -> ArchiveKind | None:
        """What is to be unpacked; None: the file itself is wanted."""
        if self.executable or not self.extract:
            return None
        name = self.file_name.lower()
        return next((kind for suffix, kind in _SUFFIXES if name.endswith(suffix)), None)


def is_reserved(name: str) -> bool:
    """A name at the sandbox's top that is the shim's own: it makes its logs anew, and what stood there would be in its way."""
    return _RESERVED.fullmatch(name) is not None


def check_uri(uri: CommandUri, field: str) -> CommandUri:
    """The same. Raises InvalidRequest naming the part that is wrong."""
    _check_value(uri.value, f"{field}.value")
    _check_checksum(uri.checksum, f"{field}.checksum")
    name = uri.file_name
    place = f"{field}.output_file"
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(place, "", f"the URI's own name {name!r} is no UTF-8: give another one") from None
    if not name:
        raise InvalidRequest(place, name, "the URI's path names no file: give the file a name")
    parts = name.split("/")
    if any(part in {"", ".", ".."} for part in parts) or "\0" in name or size_bytes > 1_024:
        raise InvalidRequest(place, name, "name a file relative to the sandbox, without '..', at most 1024 bytes")
    if is_reserved(parts[0]):
        raise InvalidRequest(place, name, "stdout and stderr are the task's own output: give another name")
    return uri


def _check_value(value: str, field: str) -> None:
    if not value or len(value.encode()) > URI_LIMIT_BYTES or any(ord(character) < 0x20 for character in value):
        raise InvalidRequest(field, value, f"use 1 to {URI_LIMIT_BYTES} bytes without control characters")
    if value.startswith("/"):
        return
    remedy = "use http://example.com/path, https likewise, file:///path or /path"
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise InvalidRequest(field, value, remedy) from None
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest(
            field, "a URI with user name", "leave user name and password out: a URI is shown to everybody"
        )
    is_file = parts.scheme == "file" and parts.hostname in {None, "localhost"} and parts.path.startswith("/")
    host = parts.hostname or ""
    is_host = bool(host) and not any(character.isspace() or character in _NO_HOST for character in host)
    if not is_file and not (parts.scheme in {"http", "https"} and is_host):
        raise InvalidRequest(field, value, remedy)


def _check_checksum(checksum: str, field: str) -> None:
    if not checksum:
        return
    match = _DIGEST.fullmatch(checksum)
    if match is None or len(match.group(2)) != _DIGEST_CHARACTERS[match.group(1)]:
        raise InvalidRequest(field, checksum, "write sha256: and 64, or sha512: and 128 lower-case hex digits")
