"""The wire's answers as views: model values through paddock.wire.convert, and the message itself as JSON text."""

from __future__ import annotations

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from paddock.model.errors import InvalidRequest
from paddock.rpc.clients.views import (
    AWAITED,
    AgentView,
    ContainerView,
    DrainView,
    FrameworkView,
    LimitView,
    OfferView,
    StateView,
    StatisticsView,
    TaskView,
)
from paddock.wire import convert
from paddock.wire.convert import bounds
from paddock.wire.convert.docker import docker_info_from_wire
from paddock.wire.convert.health import health_check_from_wire, health_evidence_from_wire
from paddock.wire.v1 import container_service_pb2, containers_pb2, offers_pb2
from paddock.wire.v1 import operator_service_pb2 as pb

_AGENT_STATES = {
    pb.AGENT_ACTIVE: "active",
    pb.AGENT_DISCONNECTED: "disconnected",
    pb.AGENT_UNREACHABLE: "unreachable",
}


def document(message: Message) -> str:
    """JSON text with the wire's own field and enum names."""
    return MessageToJson(message, preserving_proto_field_name=True)


def state_view(message: pb.MasterState) -> StateView:
    """A master in numbers."""
    agents, frameworks, resources = message.agents, message.frameworks, message.resources
    return StateView(
        master=convert.master_info_from_wire(message.master),
        started_ns=bounds.timestamp_ns(message.started, "started"),
        agents={
            "active": agents.active,
            "disconnected": agents.disconnected,
            "unreachable": agents.unreachable,
            AWAITED: agents.awaited,
        },
        special_agents={
            "deactivated": agents.deactivated,
            "draining": agents.draining,
            "drained": agents.drained,
            "under maintenance": agents.in_maintenance,
            "with a problem": agents.with_problem,
        },
        frameworks={
            "active": frameworks.active,
            "disconnected": frameworks.disconnected,
            AWAITED: frameworks.awaited,
            "ended": frameworks.ended,
        },
        tasks={task_state_name(each.state): each.count for each in message.tasks},
        role_count=message.role_count,
        offer_count=message.offer_count,
        recovering=message.recovering,
        problem=message.problem,
        total_milli=dict(resources.total.milli),
        used_milli=dict(resources.used.milli),
        standalone_milli=dict(resources.standalone.milli),
        offered_milli=dict(resources.offered.milli),
        free_milli=dict(resources.free.milli),
        reserved_milli=dict(resources.reserved.milli),
        document=document(message),
    )


def task_state_name(number: int) -> str:
    """As people write it; a number that this version does not know as it is."""
    try:
        return convert.task_state_from_wire(number).name.lower()
    except InvalidRequest:
        return f"state {number}"


def task_view(message: pb.Task) -> TaskView:
    """A task of the master's."""
    task = convert.task_info_from_wire(message.task)
    has_limits = message.HasField("limits_in_force")
    return TaskView(
        task=task,
        state=convert.task_state_from_wire(message.state),
        statuses=tuple(convert.task_status_from_wire(status) for status in message.statuses),
        framework_id=message.framework_id,
        framework_name=message.framework_name,
        role=message.role,
        agent_id=message.agent_id,
        hostname=message.hostname,
        container_id=message.container_id,
        agent_unix_address=message.agent_unix_address,
        agent_tcp_address=message.agent_tcp_address,
        limits=convert.limits_from_wire(message.limits_in_force, "limits_in_force") if has_limits else task.limits,
        document=document(message),
    )


def _agent_state(message: pb.Agent) -> str:
    """Of an agent that is there, whether it is used is what counts."""
    state = _AGENT_STATES.get(message.state, f"state {message.state}")
    if message.HasField("drain") and message.state == pb.AGENT_ACTIVE:
        return "drained" if message.drain.state == pb.DRAINED else "draining"
    return state


def agent_view(message: pb.Agent) -> AgentView:
    """An agent of the master's."""
    return AgentView(
        info=convert.agent_info_from_wire(message.info),
        state=_agent_state(message),
        used=convert.resources_from_wire(message.used),
        offered=convert.resources_from_wire(message.offered),
        standalone=convert.resources_from_wire(message.standalone),
        problem=message.problem,
        registered_ns=bounds.timestamp_ns(message.registered, "registered"),
        document=document(message),
        deactivated=message.deactivated,
        unavailability=convert.unavailability_from_wire(message.unavailability)
        if message.HasField("unavailability")
        else None,
        drain=_drain_view(message.drain) if message.HasField("drain") else None,
    )


def _drain_view(message: pb.Drain) -> DrainView:
    return DrainView(
        asked_by=message.asked_by,
        max_grace_ms=message.max_grace_ms if message.HasField("max_grace_ms") else None,
        mark_gone=message.mark_gone,
        is_done=message.state == pb.DRAINED,
    )


def framework_view(message: pb.Framework) -> FrameworkView:
    """A framework of the master's."""
    return FrameworkView(
        info=convert.framework_info_from_wire(message.info),
        active=message.active,
        connected=message.connected,
        used=convert.resources_from_wire(message.used),
        offered=convert.resources_from_wire(message.offered),
        subscribed_ns=bounds.timestamp_ns(message.subscribed, "subscribed"),
        task_count=message.task_count,
        offer_count=message.offer_count,
        suppressed_roles=tuple(message.suppressed_roles),
        document=document(message),
    )


def offer_view(message: offers_pb2.Offer) -> OfferView:
    """An offer that is out."""
    return OfferView(offer=convert.offer_from_wire(message), document=document(message))


def container_view(message: containers_pb2.Container) -> ContainerView:
    """A container of the agent's."""
    termination = convert.termination_from_wire(message.termination) if message.HasField("termination") else None
    return ContainerView(
        container_id=message.container_id.value,
        state=convert.container_state_from_wire(message.state).value,
        framework_id=message.framework_id,
        task_id=message.task_id,
        name=message.name,
        pid=message.pid,
        shim_pid=message.shim_pid,
        user=message.user,
        sandbox=message.sandbox,
        cgroup_paths=tuple(message.cgroup_paths),
        created_ns=bounds.timestamp_ns(message.created, "created"),
        started_ns=bounds.timestamp_ns(message.started, "started"),
        ended_ns=bounds.timestamp_ns(message.ended, "ended"),
        termination=termination,
        stuck=message.stuck,
        unapplied=tuple(message.unapplied),
        resources=convert.resources_from_wire(message.resources),
        limits=convert.limits_from_wire(message.limits),
        document=document(message),
        health_check=health_check_from_wire(message.health_check) if message.HasField("health_check") else None,
        healthy=message.healthy if message.HasField("healthy") else None,
        health=health_evidence_from_wire(message.health, "health") if message.HasField("health") else None,
        docker=docker_info_from_wire(message.docker) if message.HasField("docker") else None,
    )


def statistics_view(message: container_service_pb2.ContainerStatistics) -> StatisticsView:
    """A container's use now."""
    return StatisticsView(
        container_id=message.container_id.value,
        statistics=convert.statistics_from_wire(message.statistics),
        document=document(message),
    )


def limit_view(message: containers_pb2.EffectiveLimit) -> LimitView:
    """A limit in force."""
    return LimitView(limit=convert.effective_limit_from_wire(message), document=document(message))
