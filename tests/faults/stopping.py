"""The entry with which these tests start a daemon: at a named point, when it is armed, the process stops itself by SIGSTOP.

`python -m tests.faults.stopping DIRECTORY agentd ARGUMENT…` is agentd with its functions wrapped from outside: the daemons'
own code knows nothing of points. Whatever is armed is one line in DIRECTORY/armed, and the process that reaches it takes
the file away, so that one process stops, once. The launcher, whose agentd is started so, imports this too.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time

from tests.faults import engine_watch, haste

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BEFORE, AFTER = "before", "after"
# What can be held up while a file of that name is there: the isolators' plans, the launcher's order, a shim's look at the end.
PREPARATION, LAUNCH, FINISHING = "hold-preparation", "hold-launch", "hold-finishing"
# And what a shim is asked.
ANSWER = "hold-answer"

# Each function of these is two points: as it is called, and as it has returned.
FUNCTIONS = {
    "agentd": (
        "agentd.checkpoint:CheckpointLog.append",
        "agentd.containerizer.preparation:Preparation.prepare",
        "agentd.containerizer.launcher_link:LauncherLink.launch",
        "agentd.containerizer.native:NativeContainerizer._on_event",
        "agentd.containerizer.native:NativeContainerizer.kill",
        "agentd.containerizer.places:Places.discard",
        "agentd.isolation:Isolation.conclude",
        "agentd.rpc.master:MasterClient._put",
    ),
    "launcher": (
        "paddock.launch.launcher:Launcher._perform",
        "paddock.launch.nursery:Nursery.order",
    ),
    "shim": (
        "paddock.launch.launching:launch",
        "paddock.launch.launching:_take_over",
        "paddock.launch.launching:begin_running",
        "paddock.launch.container:Container.ask_to_end",
        "paddock.launch.container:Container.kill_everything",
        "paddock.launch.finishing:begin",
        "paddock.launch.finishing:write_record",
        "paddock.launch.finishing:_remove",
        "paddock.launch.ending:Ending.read_counters",
        "paddock.launch.record:RecordFile.finish",
    ),
    "masterd": ("masterd.streams:Streams.send",),
}
# A launch is a list, carried out without Python: there a stop is two more steps of it, written by agentd. The first are the
# shim's, the others the child's on its way to execve.
LIST_METHODS = ("_make_cgroups", "_make_record", "_make_logs", "_make_pipes", "_start", "_tell_and_wait")
CHILD_METHODS = ("_enter_namespaces", "_execute")
WAITING_FUNCTIONS = ("_wait", "_listen")
EVENTS = {
    "agentd": ("LaunchTasks", "Prepared", "Started", "Ended", "Concluded", "KillTask", "AcknowledgeStatus"),
    "masterd": ("Accept", "StatusReported", "Acknowledge", "Kill"),
}


def point_of(target: str, moment: str) -> str:
    """The point's name."""
    return f"{target} {moment}"


def _module(name: str) -> Any:
    """As what it is at run time: names in it are replaced."""
    return importlib.import_module(name)


def _found(target: str) -> tuple[Any, str, Any]:
    """Who has it, its name, and it."""
    module, _, name = target.partition(":")
    owner = _module(module)
    *classes, name = name.split(".")
    for each in classes:
        owner = getattr(owner, each)
    return owner, name, getattr(owner, name)


class Points:
    """One process' (and its children's) view of what is armed in `directory`."""

    def __init__(self, directory: str) -> None:
        self._armed = os.path.join(directory, "armed")
        self._reached = os.path.join(directory, "reached")

    def is_armed(self, point: str) -> bool:
        try:
            with open(self._armed, encoding="utf-8") as file:
                return file.read() == point
        except FileNotFoundError:
            return False

    def disarm(self) -> bool:
        """Whether this process was the first."""
        try:
            os.rename(self._armed, self._reached)
        except FileNotFoundError:
            return False
        return True

    def reached(self, point: str) -> None:
        """Stop here, if this is what is armed, until the test has taken its file away: a kill's SIGCONT says nothing to it.

        The signal goes to this thread: to the process, another thread may take it, and this one would have looked at the file
        once more before it stops, and stop again when it is let go.
        """
        if self.is_armed(point) and self.disarm():
            while os.path.exists(self._reached):
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    def wrap(self, target: str) -> None:
        """Make two points of a function, `module:name` or `module:Class.name`."""
        owner, name, called = _found(target)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            self.reached(point_of(target, BEFORE))
            result = called(*arguments, **named)
            self.reached(point_of(target, AFTER))
            return result

        setattr(owner, name, wrapped)

    def wrap_events(self, daemon: str) -> None:
        """Two points for each kind of event that its machine handles; after it nothing has been carried out yet."""
        machine = _module(f"{daemon}.core.machine").Machine
        handle = machine.handle

        def wrapped(self: Any, event: Any, **moments: int) -> Any:
            target = f"{daemon} event {type(event).__name__}"
            points.reached(point_of(target, BEFORE))
            effects = handle(self, event, **moments)
            points.reached(point_of(target, AFTER))
            return effects

        points = self
        machine.handle = wrapped


def install(process: str, directory: str) -> None:
    """Wrap what `process` (agentd, masterd, launcher or stand-in) has; nothing runs yet."""
    points = Points(directory)
    if process == "stand-in":
        for target in engine_watch.STAND_IN:
            points.wrap(target)
        return
    if process == "launcher":
        # Shims are the launcher's children, and have what it has.
        for target in (*FUNCTIONS["launcher"], *FUNCTIONS["shim"]):
            points.wrap(target)
        _hold("paddock.launch.nursery:Nursery.order", f"{directory}/{LAUNCH}")
        _hold("paddock.launch.finishing:begin", f"{directory}/{FINISHING}")
        _hold("paddock.launch.operations:handle", f"{directory}/{ANSWER}")
        haste.install(process, directory, _found)
        return
    for target in FUNCTIONS[process]:
        points.wrap(target)
    points.wrap_events(process)
    if process == "masterd":
        engine_watch.record_answers(directory)
    if process == "agentd":
        for target in engine_watch.AGENT:
            points.wrap(target)
        engine_watch.record_engine(directory)
        engine_watch.stop_the_stand_in_too(directory)
        _wrap_tables(points)
        _wrap_list(points)
        _record_traffic(directory)
        _hold("agentd.containerizer.preparation:Preparation.prepare", f"{directory}/{PREPARATION}")
        _repeat_soon()
        haste.install(process, directory, _found)
        _stop_the_launcher_too(directory)


def _wrap_tables(points: Points) -> None:
    """Each row of the tables is a point: the machine is about to take it, or has, and nothing of it is written yet."""
    turn = _module("agentd.core.turn").Turn
    ending = _module("agentd.core.ending")
    advance, tell, stop, concluded = turn.advance, turn.tell, ending.stop, ending.concluded

    def advance_wrapped(self: Any, container: Any, happened: Any) -> None:
        target = f"container {container.state.name} {happened.name}"
        points.reached(point_of(target, BEFORE))
        advance(self, container, happened)
        points.reached(point_of(target, AFTER))

    def tell_wrapped(self: Any, task: Any, state: Any, **fields: Any) -> None:
        target = f"task {task.state.name} {state.name}"
        points.reached(point_of(target, BEFORE))
        tell(self, task, state, **fields)
        points.reached(point_of(target, AFTER))

    def stop_wrapped(turn: Any, container: Any, **fields: Any) -> None:
        """A kill that comes too late changes nothing, and so never comes to `advance`."""
        target = "container TERMINATED STOP"
        if container.is_ended:
            points.reached(point_of(target, BEFORE))
        stop(turn, container, **fields)
        if container.is_ended:
            points.reached(point_of(target, AFTER))

    def concluded_wrapped(turn: Any, event: Any) -> None:
        """The last row is taken by the ledger, so that a restart takes it too."""
        container = turn.state.containers.get(event.container_id)
        target = "" if container is None else f"container {container.state.name} RELEASED"
        points.reached(point_of(target, BEFORE))
        concluded(turn, event)
        points.reached(point_of(target, AFTER))

    turn.advance, turn.tell, ending.stop, ending.concluded = (
        advance_wrapped,
        tell_wrapped,
        stop_wrapped,
        concluded_wrapped,
    )


def _wrap_list(points: Points) -> None:
    numbers = _module("paddock.kernel.call_numbers").NUMBERS
    numbers["kill"] = {"x86_64": 62}.get(os.uname().machine, 129)
    launch_list = _module("paddock.launch.launch_list").LaunchList
    waiting_list = _module("paddock.launch.waiting_list")
    sealer = _module("agentd.containerizer.plan_sealer")
    result_of = _module("paddock.kernel.call_list").result_of

    def wrap(owner: Any, name: str, calls_of: Callable[[Any], Any]) -> None:
        made = getattr(owner, name)

        def wrapped(first: Any, *arguments: Any) -> Any:
            if points.is_armed(f"list {name}") and points.disarm():
                calls = calls_of(first)
                calls.call("kill", result_of(calls.call("getpid")), int(signal.SIGSTOP))
            return made(first, *arguments)

        setattr(owner, name, wrapped)

    for name in (*LIST_METHODS, *CHILD_METHODS):
        wrap(launch_list, name, lambda made: made.calls)
    for name in WAITING_FUNCTIONS:
        wrap(waiting_list, name, lambda named: named.calls)
    # A list of the same shape would be used again, with its stop or without it.
    sealer.PlanSealer.seal = lambda self, document, ids: sealer.plan_file.seal(document)


def _record_traffic(directory: str) -> None:
    """Every status that goes to a master, over all of this agent's lives."""
    master = _module("agentd.rpc.master")
    put = master.MasterClient._put

    def wrapped(self: Any, message: Any) -> None:
        status = getattr(message, "status", None)
        if status is not None:
            words = (status.task_id, status.state.name, status.uuid.hex() or "-", str(int(status.reason)))
            with open(os.path.join(directory, "traffic"), "a", encoding="utf-8") as file:
                file.write(" ".join(words) + "\n")
        put(self, message)

    master.MasterClient._put = wrapped


def _hold(target: str, path: str) -> None:
    owner, name, called = _found(target)

    def wrapped(*arguments: Any) -> Any:
        while os.path.exists(path):
            time.sleep(0.01)
        return called(*arguments)

    setattr(owner, name, wrapped)


def _repeat_soon() -> None:
    """A status that a master took into its grave comes again after 10 s: hundreds of cells would wait for that."""
    updates = _module("agentd.core.status_updates")
    make = updates.StatusStream.__init__
    late, soon = updates.RETRY_FIRST_NS, 10**9
    make.__defaults__ = tuple(soon if each == late else each for each in make.__defaults__)
    updates.RETRY_FIRST_NS = soon


def _stop_the_launcher_too(directory: str) -> None:
    process = _module("agentd.containerizer.launcher_process")
    process._MAIN = (
        "import sys; sys.path[:0] = [{root!r}]; from tests.faults.stopping import install; "
        f"install('launcher', {directory!r}); from paddock.launch.launcher import main; main()"
    )


def main() -> int:
    directory, daemon, *arguments = sys.argv[1:]
    sys.argv = [daemon, *arguments]
    module = _module(f"{daemon}.__main__")
    install(daemon, directory)
    return int(module.main() or 0)


if __name__ == "__main__":
    sys.exit(main())
