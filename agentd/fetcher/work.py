"""The fetcher's outside program: one URI into descriptor 3, and from there into a sandbox. One of the two may be left out.

Runs as the task's user. Nobody but this process sees descriptor 3 before it has ended well.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import traceback
from collections.abc import Iterator

from agentd.fetcher.beneath import Beneath
from agentd.fetcher.download import Bounds, download
from agentd.fetcher.failure import FetchFailure
from agentd.fetcher.position import OwnPosition
from agentd.fetcher.unpack import unpack
from agentd.outside.beginning import Request, answer, begin, read_request
from paddock.model.uri import ArchiveKind

FILE_FD = 3
_PIECE_BYTES = 256 * 1024
_FILE_MODE = 0o644
_PROGRAM_MODE = 0o755


def main() -> None:
    """Answers `bytes`, or `error` and whether it is `stale`."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    request = read_request()
    try:
        begin(request)
        answer(bytes=_work(request))
    except FetchFailure as failure:
        answer(error=failure.message, stale=failure.stale)
    except Exception:  # noqa: BLE001 - whatever it is, it is this fetch's failure and is told
        answer(error=f"the fetcher failed: {traceback.format_exc(limit=3)}", stale=False)


def _work(request: Request) -> int:
    size_bytes = 0
    if request.whole("download"):
        bounds = Bounds(
            stall_s=request.whole("stall_ms") / 1000,
            least_bytes_per_s=request.whole("least_bytes_per_s"),
            limit_bytes=request.whole("limit_bytes"),
            ca_file=request.text("ca_file"),
        )
        names, values = request.texts("proxy_names"), request.texts("proxy_values")
        size_bytes = download(request.text("uri"), FILE_FD, bounds, dict(zip(names, values, strict=True)))
    check(request.text("checksum"))
    if request.text("sandbox"):
        _place(request)
    return size_bytes


def check(checksum: str) -> None:
    """Of descriptor 3. Raises FetchFailure."""
    if not checksum:
        return
    algorithm, _, wanted = checksum.partition(":")
    digest = hashlib.new(algorithm)
    for piece in _pieces():
        digest.update(piece)
    if digest.hexdigest() != wanted:
        found = digest.hexdigest()
        raise FetchFailure(f"its checksum is {algorithm}:{found}, and {checksum} was asked for", stale=True)


def _place(request: Request) -> None:
    target = Beneath(request.text("sandbox"), limit_bytes=request.whole("limit_bytes"))
    archive = request.text("archive")
    if archive:
        # Others may unpack the same file at the same time.
        with io.BufferedReader(OwnPosition(FILE_FD)) as source:
            unpack(source, ArchiveKind(archive), target)
    else:
        mode = _PROGRAM_MODE if request.whole("executable") else _FILE_MODE
        target.add_file(request.text("name"), _pieces(), mode)
    target.close()


def _pieces() -> Iterator[bytes]:
    offset_bytes = 0
    while piece := os.pread(FILE_FD, _PIECE_BYTES, offset_bytes):
        offset_bytes += len(piece)
        yield piece
