"""Who runs: agents; who offers: masters."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.model.ids import AgentId, MasterId
from paddock.model.resource_text import Attribute
from paddock.model.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainInfo:
    """Where it stands; empty when not configured."""

    region: str = ""
    zone: str = ""


TASK_RESIZE = "TASK_RESIZE"
"""The capability of an agent that changes a task's size while it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """An agent as it registers. `resources`: all it has, before anything is used. `cgroup_mode`: v1, v2 or hybrid.

    `containerizers`: in the operator's order; empty: it does not say.
    """

    agent_id: AgentId
    hostname: str
    resources: Resources
    boot_id: str = ""
    version: str = ""
    capabilities: tuple[str, ...] = ()
    domain: DomainInfo = DomainInfo()
    attributes: tuple[Attribute, ...] = ()
    unix_address: str = ""
    tcp_address: str = ""
    cgroup_mode: str = ""
    containerizers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterInfo:
    """A master; `epoch` grows by one at each start or election."""

    master_id: MasterId
    address: str = ""
    version: str = ""
    epoch: int = 0
