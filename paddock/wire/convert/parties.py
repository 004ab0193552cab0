"""Who speaks, protobuf ↔ model: frameworks, agents, masters."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.model import ids
from paddock.model.agent import AgentInfo, DomainInfo, MasterInfo
from paddock.model.errors import InvalidRequest, Unsupported
from paddock.model.framework import FrameworkCapability, FrameworkInfo
from paddock.model.ids import FrameworkId, MasterId
from paddock.model.resources import DEFAULT_ROLE
from paddock.wire.convert import bounds
from paddock.wire.convert.offer_terms import offer_terms_from_wire, offer_terms_to_wire
from paddock.wire.convert.resources import (
    attributes_from_wire,
    attributes_to_wire,
    resources_from_wire,
    resources_to_wire,
)
from paddock.wire.v1 import parties_pb2 as pb

CONTAINERIZERS_LIMIT_COUNT = 16
_CAPABILITIES = {capability.value: capability for capability in FrameworkCapability}


def framework_info_from_wire(message: pb.FrameworkInfo, field: str = "framework") -> FrameworkInfo:
    """`framework_id` may be empty: a first subscription. No role at all means the default role."""
    bounds.count(message.roles, f"{field}.roles")
    bounds.unique(message.roles, f"{field}.roles")
    for index, role in enumerate(message.roles):
        ids.check_role(role, f"{field}.roles[{index}]")
    framework_id = FrameworkId("")
    if message.framework_id:
        framework_id = ids.framework_id(message.framework_id, f"{field}.framework_id")
    roles = tuple(message.roles) or (DEFAULT_ROLE,)
    return FrameworkInfo(
        framework_id=framework_id,
        name=bounds.text(message.name, f"{field}.name"),
        roles=roles,
        user=bounds.text(message.user, f"{field}.user"),
        principal=bounds.text(message.principal, f"{field}.principal"),
        capabilities=_capabilities_from_wire(message, f"{field}.capabilities"),
        failover_timeout_ms=bounds.duration_ms(message.failover_timeout_ms, f"{field}.failover_timeout_ms"),
        labels=bounds.labels(message.labels, f"{field}.labels"),
        hostname=bounds.text(message.hostname, f"{field}.hostname"),
        webui_url=bounds.text(message.webui_url, f"{field}.webui_url", bounds.TEXT_LIMIT_BYTES),
        offer_terms=offer_terms_from_wire(message.offer_terms, f"{field}.offer_terms", roles),
    )


def framework_info_to_wire(framework: FrameworkInfo) -> pb.FrameworkInfo:
    """Capabilities sorted, so that equal frameworks give equal bytes."""
    return pb.FrameworkInfo(
        framework_id=framework.framework_id,
        name=framework.name,
        roles=framework.roles,
        user=framework.user,
        principal=framework.principal,
        capabilities=[pb.FrameworkCapability.ValueType(value) for value in sorted(framework.capabilities)],
        failover_timeout_ms=framework.failover_timeout_ms,
        labels=dict(framework.labels),
        hostname=framework.hostname,
        webui_url=framework.webui_url,
        offer_terms=offer_terms_to_wire(framework.offer_terms),
    )


def _capabilities_from_wire(message: pb.FrameworkInfo, field: str) -> frozenset[FrameworkCapability]:
    bounds.count(message.capabilities, field)
    for index, number in enumerate(message.capabilities):
        if number not in _CAPABILITIES:
            known = ", ".join(f"{capability.name} = {capability.value}" for capability in FrameworkCapability)
            raise Unsupported(f"{field}[{index}] = {number}", f"it knows {known}")
    return frozenset(_CAPABILITIES[number] for number in message.capabilities)


def agent_info_from_wire(message: pb.AgentInfo, field: str = "agent") -> AgentInfo:
    """An agent without resources is accepted: it may only be looked at."""
    if message.cgroup_mode not in {"", "v1", "v2", "hybrid"}:
        raise InvalidRequest(f"{field}.cgroup_mode", message.cgroup_mode, "use v1, v2 or hybrid")
    bounds.count(message.capabilities, f"{field}.capabilities")
    return AgentInfo(
        agent_id=ids.agent_id(message.agent_id, f"{field}.agent_id"),
        hostname=bounds.text(message.hostname, f"{field}.hostname"),
        resources=resources_from_wire(message.resources, f"{field}.resources"),
        boot_id=bounds.text(message.boot_id, f"{field}.boot_id"),
        version=bounds.text(message.version, f"{field}.version"),
        capabilities=tuple(
            bounds.text(word, f"{field}.capabilities[{index}]") for index, word in enumerate(message.capabilities)
        ),
        domain=domain_from_wire(message.domain, f"{field}.domain"),
        attributes=attributes_from_wire(message.attributes, f"{field}.attributes"),
        unix_address=bounds.text(message.unix_address, f"{field}.unix_address"),
        tcp_address=bounds.text(message.tcp_address, f"{field}.tcp_address", bounds.TEXT_LIMIT_BYTES),
        cgroup_mode=message.cgroup_mode,
        containerizers=containerizers_from_wire(message.containerizers, f"{field}.containerizers"),
    )


def agent_info_to_wire(agent: AgentInfo) -> pb.AgentInfo:
    """As it registers."""
    return pb.AgentInfo(
        agent_id=agent.agent_id,
        boot_id=agent.boot_id,
        version=agent.version,
        capabilities=agent.capabilities,
        domain=domain_to_wire(agent.domain),
        attributes=attributes_to_wire(agent.attributes),
        hostname=agent.hostname,
        unix_address=agent.unix_address,
        tcp_address=agent.tcp_address,
        resources=resources_to_wire(agent.resources),
        cgroup_mode=agent.cgroup_mode,
        containerizers=agent.containerizers,
    )


def containerizers_from_wire(words: Sequence[str], field: str) -> tuple[str, ...]:
    """Any words: a newer agent may have others."""
    bounds.count(words, field, CONTAINERIZERS_LIMIT_COUNT)
    bounds.unique(words, field)
    return tuple(bounds.text(word, f"{field}[{index}]") for index, word in enumerate(words))


def domain_from_wire(message: pb.DomainInfo, field: str = "domain") -> DomainInfo:
    """Absent: the empty domain."""
    return DomainInfo(
        region=bounds.text(message.region, f"{field}.region"), zone=bounds.text(message.zone, f"{field}.zone")
    )


def domain_to_wire(domain: DomainInfo) -> pb.DomainInfo | None:
    """None, absent, when it is not configured."""
    if domain == DomainInfo():
        return None
    return pb.DomainInfo(region=domain.region, zone=domain.zone)


def master_info_from_wire(message: pb.MasterInfo, field: str = "master") -> MasterInfo:
    """What every message of a master's streams carries."""
    return MasterInfo(
        master_id=MasterId(ids.check_id(message.master_id, f"{field}.master_id")),
        address=bounds.text(message.address, f"{field}.address", bounds.TEXT_LIMIT_BYTES),
        version=bounds.text(message.version, f"{field}.version"),
        epoch=message.epoch,
    )


def master_info_to_wire(master: MasterInfo) -> pb.MasterInfo:
    """As on every stream."""
    return pb.MasterInfo(master_id=master.master_id, address=master.address, version=master.version, epoch=master.epoch)
