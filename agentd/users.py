"""Users of this host: looked up once, then remembered for a while, because a directory service may take its time."""

from __future__ import annotations

import asyncio
import os
import pwd
import time

from paddock.model.container import UserIdentity
from paddock.model.errors import InvalidRequest

KEPT_S = 60.0
_NO_GROUP = 65534
"""The kernel's own gid for "none that is known here": no file is meant to be its."""


class Users:
    """For the event loop's thread; lookups run beside it."""

    def __init__(self) -> None:
        """Knows nobody."""
        self._known: dict[str | int, tuple[float, UserIdentity]] = {}

    async def by_name(self, name: str, field: str) -> UserIdentity:
        """Raises InvalidRequest when there is no such user."""
        return await self._find(name, field)

    async def by_uid(self, uid: int, field: str) -> UserIdentity:
        """A uid without a name is a user too: its name is the number, its home `/`, and it is in no group."""
        return await self._find(uid, field)

    async def _find(self, key: str | int, field: str) -> UserIdentity:
        known = self._known.get(key)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        try:
            found = await asyncio.to_thread(_look_up, key)
        except (KeyError, ValueError):
            raise InvalidRequest(
                field, key, "name a user of this agent's host, or leave it empty for your own"
            ) from None
        self._known[key] = (time.monotonic() + KEPT_S, found)
        return found


def _look_up(key: str | int) -> UserIdentity:
    if isinstance(key, int):
        try:
            entry = pwd.getpwuid(key)
        except KeyError:
            return UserIdentity(name=str(key), uid=key, gid=_NO_GROUP, groups=(), home="/")
    else:
        entry = pwd.getpwnam(key)
    groups = tuple(sorted(set(os.getgrouplist(entry.pw_name, entry.pw_gid))))
    return UserIdentity(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, groups=groups, home=entry.pw_dir)
