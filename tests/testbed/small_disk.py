"""A daemon's state directory on a file system of its own, with little room, filled to the last byte and emptied again."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from testbed.three_hosts import Testbed

ROOM_MIB = 6
_SIDE = "/mnt/small"
_ONTO = """\
set -e
mkdir -p "$2"
mount -t tmpfs -o "size=$(($(du -sm "$1" | cut -f1) + $3))m,mode=0700" small "$2"
chown --reference="$1" "$2"
cp -a "$1/." "$2"
mount --bind "$2" "$1"
umount "$2"
"""
_BACK = """\
set -e
mount --bind "$1" "$2"
umount "$1"
find "$1" -mindepth 1 -delete
cp -a "$2/." "$1"
umount "$2"
"""
_KEEP_FULL = """\
while [ -e "$1/filler" ]; do
    for size in 4096 1; do dd if=/dev/zero of="$1/filler" bs=$size oflag=append conv=notrunc,nocreat; done
    sleep 0.05
done >/dev/null 2>&1 </dev/null &
"""


class SmallDisk:
    """Use it as `with`, where no task runs: the daemon, and an agent's scope, end and start at both ends of it."""

    def __init__(self, testbed: Testbed, host: str, daemon: str) -> None:
        """Nothing is done yet."""
        self._testbed = testbed
        self._host = host
        self._daemon = daemon
        self._state = f"/var/lib/paddock/{daemon}"

    def __enter__(self) -> Self:
        """The daemon serves from there."""
        self._move(_ONTO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As before, with what it has kept meanwhile."""
        self.free()
        self._move(_BACK)

    def fill(self) -> None:
        """To the last byte."""
        script = 'for size in 65536 4096 1; do dd if=/dev/zero bs=$size >>"$1/filler" 2>/dev/null || true; done'
        self._do("sh", "-c", script, "sh", self._state)
        done = self._testbed.exec(self._host, "sh", "-c", f"dd if=/dev/zero bs=1 count=1 >>{self._state}/filler")
        assert "No space left on device" in done.stderr, done

    def keep_full(self) -> None:
        """Until `free`: what becomes free is taken soon, by a process on the host that ends by itself."""
        self._do("sh", "-c", _KEEP_FULL, "sh", self._state)

    def free(self) -> None:
        """What filled it is gone."""
        self._do("rm", "-f", f"{self._state}/filler")

    def _move(self, script: str) -> None:
        self._do("systemctl", "stop", self._daemon)
        if self._daemon == "agentd":
            self._do("systemctl", "stop", "paddock-tasks.scope")
        self._do("sh", "-c", script, "sh", self._state, _SIDE, str(ROOM_MIB))
        self._do("systemctl", "start", self._daemon)
        self._testbed.await_ready()

    def _do(self, *words: str) -> None:
        done = self._testbed.exec(self._host, *words, timeout_s=120)
        assert done.returncode == 0, (words, done.stdout, done.stderr, self._testbed.last_words())
