"""What the master offers, and what a framework may do with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from paddock.model.agent import DomainInfo
from paddock.model.ids import AgentId, FrameworkId, OfferId
from paddock.model.resource_text import Attribute
from paddock.model.resources import Resources
from paddock.model.task import TaskInfo

DEFAULT_REFUSE_MS = 5_000
"""Mesos' default for a decline without filters."""

REFUSE_LIMIT_MS = 365 * 24 * 3600 * 1000
"""Mesos cuts longer ones to a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Free resources of one agent for one framework in one role. The resources carry the allocation role."""

    offer_id: OfferId
    framework_id: FrameworkId
    agent_id: AgentId
    role: str
    resources: Resources
    hostname: str = ""
    attributes: tuple[Attribute, ...] = ()
    domain: DomainInfo = field(default_factory=DomainInfo)
    unix_address: str = ""
    tcp_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """For how long what is refused is not offered again. 0: no filter."""

    refuse_ms: int = DEFAULT_REFUSE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Start these tasks out of the accepted offers."""

    tasks: tuple[TaskInfo, ...]


Operation = Launch
"""The operations that this version carries out; the wire knows more and refuses them by name."""
