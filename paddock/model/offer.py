"""What the master offers, and what a framework may do with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from paddock.model.agent import DomainInfo
from paddock.model.ids import AgentId, FrameworkId, OfferId
from paddock.model.resource_text import Attribute
from paddock.model.resources import Resource, Resources
from paddock.model.task import TaskInfo

DEFAULT_REFUSE_MS = 5_000
"""Mesos' default for a decline without filters."""

REFUSE_LIMIT_MS = 365 * 24 * 3600 * 1000
"""Mesos cuts longer ones to a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailability:
    """A host will not be available from then on, wall clock; `duration_ns` 0: nobody knows for how long."""

    start_ns: int
    duration_ns: int = 0

    @property
    def end_ns(self) -> int | None:
        """None: nobody knows."""
        return self.start_ns + self.duration_ns if self.duration_ns else None


class Offer(NamedTuple):
    """Free resources of one agent for one framework in one role. The resources carry the allocation role.

    A named tuple: a run makes one for each agent, and a frozen dataclass takes three times as long.
    """

    offer_id: OfferId
    framework_id: FrameworkId
    agent_id: AgentId
    role: str
    resources: Resources
    hostname: str = ""
    attributes: tuple[Attribute, ...] = ()
    domain: DomainInfo = DomainInfo()
    unix_address: str = ""
    tcp_address: str = ""
    unavailability: Unavailability | None = None
    containerizers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """For how long what is refused is not offered again. 0: no filter."""

    refuse_ms: int = DEFAULT_REFUSE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Start these tasks out of the accepted offers."""

    tasks: tuple[TaskInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Push a reservation: `resources` as they are to be, their topmost reservation for the offer's role."""

    resources: Resources
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreserve:
    """Pop the topmost reservation, which was made at run time."""

    resources: Resources
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolumes:
    """Reserved disk becomes persistent volumes."""

    volumes: Resources
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyVolumes:
    """Persistent volumes that nobody uses become disk again."""

    volumes: Resources
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowVolume:
    """Disk of the same reservation is added to the volume."""

    volume: Resource
    addition: Resource
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShrinkVolume:
    """A part of the volume becomes disk again."""

    volume: Resource
    by_milli: int
    operation_id: str = ""


Change = Reserve | Unreserve | CreateVolumes | DestroyVolumes | GrowVolume | ShrinkVolume
"""What turns resources into others."""

Operation = Launch | Change
"""The operations that the master carries out. One with an id is answered by an event that carries it."""
