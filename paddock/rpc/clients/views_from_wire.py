"""The wire's answers as views: model values through paddock.wire.convert, and the message itself as JSON text."""

from __future__ import annotations

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from paddock.rpc.clients.views import (
    AgentView,
    ContainerView,
    DrainView,
    FrameworkView,
    LimitView,
    OfferView,
    StatisticsView,
    TaskView,
)
from paddock.wire import convert
from paddock.wire.convert import bounds
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


def task_view(message: pb.Task) -> TaskView:
    """A task of the master's."""
    return TaskView(
        task=convert.task_info_from_wire(message.task),
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
