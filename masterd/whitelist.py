"""The file of the setting `whitelist`: whose agents are offered. Read at the start and at each SIGHUP, kept nowhere else."""

from __future__ import annotations

import logging
import os
import stat

from masterd.core.configuration_events import WhitelistChanged
from paddock.model.errors import ConfigError

SIZE_LIMIT_BYTES = 16 * 2**20
_HOSTNAME_LIMIT_COUNT = 255
_log = logging.getLogger(__name__)


def read_whitelist(path: str | None) -> WhitelistChanged:
    """One host name a line; empty lines, and what follows a `#`, are passed over. Raises ConfigError naming the line."""
    if path is None:
        return WhitelistChanged(hostnames=None)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigError((f"whitelist: {path} is no file; name one with a host name in each line",))
        with open(path, "rb") as file:
            content = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigError((f"whitelist: {path}: {error.strerror}; name a file that masterd can read",)) from error
    if len(content) > SIZE_LIMIT_BYTES:
        raise ConfigError(
            (f"whitelist: {path} is larger than {SIZE_LIMIT_BYTES} bytes; one host name a line is enough",)
        )
    hostnames = frozenset(_hostnames(path, content))
    _log.info("whitelist is read", extra={"path": path, "host_count": len(hostnames)})
    return WhitelistChanged(hostnames=tuple(sorted(hostnames)))


def _hostnames(path: str, content: bytes) -> list[str]:
    found = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        word = line.partition(b"#")[0].strip().decode("utf-8", errors="replace")
        if len(word) > _HOSTNAME_LIMIT_COUNT or any(not c.isprintable() or c.isspace() or c == "\ufffd" for c in word):
            raise ConfigError((f"whitelist: {path}: line {number}: {word[:80]!r}: write one host name a line",))
        if word:
            found.append(word)
    return found
