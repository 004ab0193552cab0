"""The library with which a framework is written: subscribe, read events, launch tasks (docs/frameworks.md)."""

from paddock.rpc.scheduling import (
    AgentLost,
    FrameworkRefused,
    LeaveAsked,
    Offered,
    OperationUpdated,
    Rescinded,
    Subscribed,
    Updated,
)
from paddock.scheduler.fitting import fits, pack
from paddock.scheduler.scheduler import Disconnected, Event, Scheduler

__all__ = [
    "AgentLost",
    "Disconnected",
    "Event",
    "FrameworkRefused",
    "LeaveAsked",
    "Offered",
    "OperationUpdated",
    "Rescinded",
    "Scheduler",
    "Subscribed",
    "Updated",
    "fits",
    "pack",
]
