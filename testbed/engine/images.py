"""The images that tests run, built here: nothing is fetched but by the one that is Debian itself."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import docker

from testbed import debian
from testbed.engine.engine import API_VERSION, PATIENCE_S, Engine

# Every applet of a static busybox; root and guest (1234) are its users.
BUSYBOX = "paddock-busybox:1"
# An entry point that is a script with a word of its own, a user by name, environment, a working directory with a space.
ODD = "paddock-odd:1"
DEBIAN = "paddock-debian:1"

_ODD_CHANGES = (
    'ENTRYPOINT ["/bin/odd entry", "first word"]',
    'CMD ["default command"]',
    "USER guest",
    'ENV COLOUR="light blue" PATH=/odd:/bin EMPTY=',
    "WORKDIR /a place",
    'LABEL kind="odd"',
)
_ODD_SCRIPT = '#!/bin/sh\necho "in $PWD as $(id -un), COLOUR=$COLOUR:"\nfor word; do echo "<$word>"; done\n'
_USERS = "root:x:0:0::/root:/bin/sh\nguest:x:1234:1234::/home/guest:/bin/sh\n"
_GROUP = "root:x:0:\nguest:x:1234:\n"
_DIRECTORIES = ("bin", "etc", "root", "tmp", "a place", "home/guest")


def client(engine: Engine) -> docker.APIClient:
    """The docker package's own client: what builds images, and what tests hold ours against. Close it."""
    return docker.APIClient(base_url=engine.url, version=API_VERSION, timeout=PATIENCE_S)


def image_id(api: docker.APIClient, reference: str) -> str:
    """By content: the same in every engine."""
    return str(api.inspect_image(reference)["Id"])  # type: ignore[no-untyped-call]


def build_busybox(engine: Engine) -> str:
    """A tenth of a second."""
    return _import(engine, BUSYBOX, _busybox_archive({}))


def build_odd(engine: Engine) -> str:
    """Of busybox as well."""
    return _import(engine, ODD, _busybox_archive({"bin/odd entry": _ODD_SCRIPT}), changes=_ODD_CHANGES)


def build_with(engine: Engine, reference: str, files: Mapping[str, str]) -> str:
    """Busybox and these files, in one layer that no other image has."""
    return _import(engine, reference, _busybox_archive(files))


def build_debian(engine: Engine) -> str:
    """Debian's minimal system by debootstrap; a minute the first time, and it needs the package archive: for long tests."""
    cache = debian.cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    suite = debian.SUITE
    archive = cache / f"minimal-{suite}.tar"
    with debian.locked(cache / f"minimal-{suite}.lock"):
        if not archive.exists():
            _debootstrap(suite, archive)
    with archive.open("rb") as file:
        return _import(engine, DEBIAN, file)


def _import(engine: Engine, reference: str, archive: BinaryIO, *, changes: Sequence[str] = ()) -> str:
    """One layer, made of a tar archive."""
    repository, _, tag = reference.rpartition(":")
    with client(engine) as api:
        answer = api.import_image_from_data(archive, repository, tag, list(changes))
        assert '"status":"sha256:' in answer, answer
    return reference


def _busybox_archive(scripts: Mapping[str, str]) -> BinaryIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in _DIRECTORIES:
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(directory)
        _add(archive, "bin/busybox", Path("/bin/busybox").read_bytes())
        for applet in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
        for name, text in {"etc/passwd": _USERS, "etc/group": _GROUP, **scripts}.items():
            _add(archive, name, text.encode())
    buffer.seek(0)
    return buffer


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    file = tarfile.TarInfo(name)
    file.size, file.mode = len(content), 0o755
    archive.addfile(file, io.BytesIO(content))


def _debootstrap(suite: str, archive: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="building-", dir=archive.parent) as name:
        root, built = Path(name, "root"), Path(name, "archive")
        debian.run_tool(["debootstrap", "--variant=minbase", suite, str(root), debian.archive(suite)])
        debian.run_tool(["tar", "-C", str(root), "--exclude=./var/cache/apt", "-cf", str(built), "."])
        built.rename(archive)
