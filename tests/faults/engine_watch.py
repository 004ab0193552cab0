"""What daemons write down of themselves for the matrix of an engine's faults, and the points in a container's stand-in."""

from __future__ import annotations

import importlib
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ANSWERS, ENGINE = "answers", "engine"
ANSWERS_IT = "reachable"

STAND_IN = (
    "agentd.docker.stand_in:StandIn._ask_to_start",
    "agentd.docker.engine_life:EngineLife._hear_start",
    "agentd.docker.engine_life:EngineLife._hold",
    "agentd.docker.engine_life:EngineLife._follow",
    "agentd.docker.engine_life:EngineLife._status",
    "agentd.docker.engine_life:EngineLife._write_note",
)
STARTING = (
    "agentd.docker.stand_in:StandIn._ask_to_start after",
    "agentd.docker.engine_life:EngineLife._hear_start before",
)
"""The points between the question to start and its answer."""
AGENT = (
    "agentd.docker.notes:Notes.go",
    "agentd.docker.notes:Notes.forget",
    "agentd.containerizer.docker:DockerContainerizer.launch",
    "agentd.containerizer.docker:DockerContainerizer._look_at_note",
)


def _module(name: str) -> Any:
    return importlib.import_module(name)


def record_answers(directory: str) -> None:
    """The master's: when each answer of its agents to a ping came."""
    machine = _module("masterd.core.machine").Machine
    handle = machine.handle

    def wrapped(self: Any, event: Any, **moments: int) -> Any:
        if type(event).__name__ == "AgentAnswered":
            with open(os.path.join(directory, ANSWERS), "a", encoding="ascii") as file:
                file.write(f"{time.monotonic()}\n")
        return handle(self, event, **moments)

    machine.handle = wrapped


def record_engine(directory: str) -> None:
    """The agent's: whether it takes its engine for one that answers."""
    calls = _module("agentd.docker.calls").Calls
    become = calls._become

    def wrapped(self: Any, state: Any) -> None:
        with open(os.path.join(directory, f"{ENGINE}.new"), "w", encoding="ascii") as file:
            file.write(ANSWERS_IT if state.reachable else "")
        os.rename(os.path.join(directory, f"{ENGINE}.new"), os.path.join(directory, ENGINE))
        become(self, state)

    calls._become = wrapped


def stop_the_stand_in_too(directory: str) -> None:
    """Its program is told on its command line."""
    _module("agentd.containerizer.docker")._MAIN = (
        "import sys; sys.path[:0] = [{root!r}]; from tests.faults.stopping import install; "
        f"install('stand-in', {directory!r}); from agentd.docker.stand_in import main; main()"
    )
