"""Row 7: what a task sees of other processes."""

from __future__ import annotations

import json
import os

from examples.demonstration.row import Row, Seen, judge
from examples.demonstration.session import Session, Wish

ORPHAN_COUNT = 8
_REFUSED = "refused"

# As root inside: list the processes, leave orphaned grandchildren, then look at everything that /proc/1 shows.
_LOOK = f"""
import json, os, time

def told(action):
    try:
        return action()
    except OSError:
        return "{_REFUSED}"

def read(path, size=65536):
    with open(path, "rb") as file:
        return file.read(size).decode("latin-1")

for _ in range({ORPHAN_COUNT}):
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.2)
        os._exit(0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
until = time.monotonic() + 5
while sum(name.isdigit() for name in os.listdir("/proc")) > 2 and time.monotonic() < until:
    time.sleep(0.05)
pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
states = [told(lambda: read(f"/proc/{{pid}}/stat")).rpartition(")")[2].split()[0] for pid in pids]
print(json.dumps(dict(
    uid=os.getuid(), own=os.getpid(), pids=pids, zombies=states.count("Z"), namespace=os.readlink("/proc/self/ns/pid"),
    root=told(lambda: os.readlink("/proc/1/root")), cwd=told(lambda: os.readlink("/proc/1/cwd")),
    fds=told(lambda: [os.readlink(f"/proc/1/fd/{{fd}}") for fd in os.listdir("/proc/1/fd")]),
    environment=told(lambda: read("/proc/1/environ")), maps=told(lambda: read("/proc/1/maps")),
)))
"""

_SELF_ONLY = ("[stack]", "[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[heap]")


async def act(session: Session) -> Seen:
    """Judge what the task told about its own view."""
    task = await session.launch(
        Wish(name="looks", arguments=("python3", "-c", _LOOK), cpus_milli=200, mem_mib=64, user="root")
    )
    status = await task.ended()
    output = await task.read_all("stdout")
    try:
        view = json.loads(output)
    except ValueError:
        return Seen(text=f"{status.state.name}: {status.message}; it printed {output[:80]!r}", as_expected=False)
    fds = view["fds"]
    holds, failed = judge(
        {
            "root inside": view["uid"] == 0,
            "a PID namespace of its own": view["namespace"] != os.readlink("/proc/self/ns/pid"),
            "only itself and PID 1": view["pids"] == sorted({1, view["own"]}),
            "orphans reaped": view["zombies"] == 0,
            "its own root": view["root"] in {"/", _REFUSED},
            "cwd /": view["cwd"] in {"/", _REFUSED},
            "one pipe": fds == _REFUSED or (len(fds) == 1 and fds[0].startswith("pipe:")),
            "no environment": view["environment"] in {"", _REFUSED},
            "no memory but its own": view["maps"] == _REFUSED or _is_still_init(view["maps"]),
        }
    )
    count = len(view["pids"])
    shown = ", ".join(f"{name} {_word(view[name])}" for name in ("root", "cwd", "fds", "environment"))
    text = f"{count} processes seen, {view['zombies']} zombies after {ORPHAN_COUNT} orphans; /proc/1: {shown}"
    return Seen(text=text + failed, as_expected=holds)


def _word(value: str | list[str]) -> str:
    return (value if isinstance(value, str) else " ".join(value)) or "empty"


def _is_still_init(maps: str) -> bool:
    """PID 1 maps its own few hundred bytes from a memfd, and what the kernel gives everybody: nothing of the host."""
    names = [line.split(maxsplit=5)[5] for line in maps.splitlines() if len(line.split(maxsplit=5)) == 6]
    return all(name.startswith("/memfd:") or name in _SELF_ONLY for name in names)


ROWS = (
    Row(
        number=7,
        title="a task lists processes",
        asked=f"as root inside: /proc, {ORPHAN_COUNT} orphaned grandchildren, /proc/1",
        expected="itself and PID 1 only; no zombie; /proc/1: own root, cwd /, one pipe, nothing of the host",
        act=act,
    ),
)
