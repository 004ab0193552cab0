"""Hosts whose wall clock is another one: what every program of Paddock there reads, and may be turned while it runs.

The hosts share this machine's kernel, whose wall clock is one for all. So it is `time.time_ns` that is turned, in the installed
environment of a host: daemons and commands read it. Launcher and shims, systemd and gRPC (which makes its deadlines of
`time.time`, and compares them with the kernel's) go on with the kernel's.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from testbed.distribution import PREFIX
from testbed.three_hosts import MASTER, Testbed

_PACKAGES = f"{PREFIX}/lib/python3.11/site-packages"
_AHEAD = "/run/clock-ahead-s"
_MODULE = f"""\
import time
_time_ns = time.time_ns

def _turned_ns():
    try:
        with open("{_AHEAD}") as file:
            return _time_ns() + int(file.read() or 0) * 1_000_000_000
    except OSError:
        return _time_ns()

time.time_ns = _turned_ns
"""
_INSTALL = 'echo "$2" >"$1/own_clock_of_a_host.py"; echo "import own_clock_of_a_host" >"$1/own_clock.pth"'
_REMOVE = f'rm -f "$1/own_clock_of_a_host.py" "$1/own_clock.pth" {_AHEAD}'


class OwnClock:
    """Use it as `with`: the host's daemon starts anew at both ends."""

    def __init__(self, testbed: Testbed, host: str) -> None:
        """Nothing is done yet."""
        self._testbed = testbed
        self._host = host

    def __enter__(self) -> Self:
        """As late as ever."""
        self._do("sh", "-c", _INSTALL, "sh", _PACKAGES, _MODULE)
        self._start_anew()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The kernel's again."""
        self._do("sh", "-c", _REMOVE, "sh", _PACKAGES)
        self._start_anew()

    def turn(self, ahead_s: int) -> None:
        """From the next look on; negative: behind."""
        self._do(
            "sh", "-c", f'echo "$1" >{_AHEAD}.new; chmod 644 {_AHEAD}.new; mv {_AHEAD}.new {_AHEAD}', "sh", str(ahead_s)
        )

    def _start_anew(self) -> None:
        self._do("systemctl", "restart", "masterd" if self._host == MASTER else "agentd")
        self._testbed.await_ready()

    def _do(self, *words: str) -> None:
        done = self._testbed.exec(self._host, *words, timeout_s=120)
        assert done.returncode == 0, (words, done.stdout, done.stderr, self._testbed.last_words())
