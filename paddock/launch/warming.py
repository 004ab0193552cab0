"""Rehearsals: before it serves, the launcher lives a few whole shim's lives in its own process.

Python specialises bytecode in place while it runs. What is specialised before the first fork is done once, and its pages stay
shared; else every shim would do it anew, in pages of its own. Nothing here is a stand-in: it is the shim's own code, with
containers that have no PID namespace and run /bin/true.

Their names begin with a dot: an agent that looks for orphans meanwhile would end them, a step of theirs would find its cgroup
gone, and the rehearsal would come to nothing.
"""

from __future__ import annotations

import os
import socket

from paddock.kernel.descriptors import make_sealed_memfd
from paddock.launch import plan_file, protocol, shim
from paddock.launch.launcher_log import log
from paddock.launch.orders import Order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from paddock.launch.host import Host
    from paddock.launch.launcher_start import Arguments

# Python 3.11 specialises a function from its eighth call on.
_ROUNDS = 12
_PREFIX = ".rehearsal-"
_MESSAGES = (b'{"op":"state","seq":1}', b'{"op":"kill","seq":2,"grace_ms":60000}')


def rehearse(arguments: Arguments, host: Host) -> None:
    """Live the lives; their signal dispositions are undone by the caller, their files here."""
    if not arguments.cgroup_roots:
        return
    run_directory = os.path.dirname(arguments.socket)
    _remove_unfinished(run_directory, arguments.cgroup_roots)
    directory = f"{run_directory}/{_PREFIX}{os.getpid()}"
    os.mkdir(directory, 0o700)
    try:
        for number in range(_ROUNDS):
            document = _plan(arguments, host, directory, f"{_PREFIX}{os.getpid()}-{number}")
            try:
                _live_once(host, plan_file.seal(document))
                # A life that came to nothing has not made them.
                for name in ("stdout", "stderr"):
                    os.unlink(f"{directory}/{name}")
            except (OSError, ValueError, LookupError) as error:
                # Without it shims are larger and slower, and that is all.
                log("rehearsal-failed", error=f"{type(error).__name__}: {error}")
                return
    finally:
        _remove(directory)


def _remove_unfinished(run_directory: str, cgroup_roots: list[str]) -> None:
    """Of a launcher that was killed meanwhile: nobody else looks for it."""
    for parent in (run_directory, *cgroup_roots):
        for name in os.listdir(parent):
            if name.startswith(_PREFIX):
                remove = _remove if parent == run_directory else os.rmdir
                try:
                    remove(f"{parent}/{name}")
                except OSError as error:
                    log("rehearsal-left", path=f"{parent}/{name}", error=str(error))


def _remove(directory: str) -> None:
    for name in os.listdir(directory):
        os.unlink(f"{directory}/{name}")
    os.rmdir(directory)


def _live_once(host: Host, content: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        for message in _MESSAGES:
            ours.send(message)
        shim.live(host, Order(make_sealed_memfd("rehearsal", content), theirs.detach()))


def _plan(arguments: Arguments, host: Host, directory: str, container_id: str) -> dict[str, object]:
    """A plan with something of everything that plans hold."""
    roots = arguments.cgroup_roots
    is_v2 = os.path.exists(f"{roots[0]}/cgroup.controllers")
    directories = {"" if is_v2 else os.path.basename(os.path.dirname(root)): f"{root}/{container_id}" for root in roots}
    file, value = ("cgroup.max.depth", "max") if is_v2 else ("notify_on_release", "0")
    files: list[dict[str, object]] = [{"controller": controller, "file": file} for controller in directories]
    return {
        "format": protocol.FORMAT,
        "agent_id": arguments.agent_id,
        "launcher": host.facts.to_json(),
        "container_id": container_id,
        "record": f"{directory}/{container_id}",
        "socket": f"{directory}/{container_id}.ear",
        "cgroup": {"mode": "v2" if is_v2 else "v1", "directories": directories},
        "writes": [{**written, "value": value, "optional": False} for written in files],
        "final_reads": files,
        "oom_events": files[0],
        "namespaces": ["mnt", "ipc"],
        "mounts": [],
        "sandbox": directory,
        "argv": ["true"],
        "environment": {f"NAME{number}": "value" for number in range(16)} | {"PATH": "/usr/bin:/bin"},
        "user": {"uid": 0, "gid": 0, "groups": [0]},
        "capabilities": {"bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "ambient": []},
        "rlimits": [{"resource": "RLMT_CORE", "soft": 0, "hard": 0}],
        "max_completion_ms": 60000,
    }
