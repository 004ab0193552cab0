"""Containers, their limits in force and their statistics, protobuf ↔ model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from paddock.model import ids
from paddock.model.container import Container, ContainerState, Termination
from paddock.model.docker_task import check_container
from paddock.model.errors import InvalidRequest, Unsupported
from paddock.model.health import HealthCheck
from paddock.model.ids import ContainerId
from paddock.model.resources import Resources
from paddock.model.statistics import EffectiveLimit
from paddock.model.task import CommandInfo, ContainerInfo, ContainerType, KillPolicy, LogPolicy, ResourceLimits
from paddock.wire.convert import bounds
from paddock.wire.convert.commands import (
    command_from_wire,
    command_to_wire,
    kill_policy_from_wire,
    limits_from_wire,
    limits_to_wire,
    log_policy_from_wire,
)
from paddock.wire.convert.container_info import container_info_from_wire, container_type_to_wire
from paddock.wire.convert.docker import docker_info_to_wire
from paddock.wire.convert.evidence import evidence_from_wire, evidence_to_wire
from paddock.wire.convert.health import health_check_from_wire, health_check_to_wire, health_evidence_to_wire
from paddock.wire.convert.remembered import same_remembered
from paddock.wire.convert.resources import resources_from_wire, resources_to_wire
from paddock.wire.convert.statuses import reason_to_wire, task_state_from_wire, task_state_to_wire
from paddock.wire.v1 import container_service_pb2
from paddock.wire.v1 import containers_pb2 as pb

_STATES_TO_WIRE = {
    ContainerState.PREPARING: pb.CONTAINER_PREPARING,
    ContainerState.FETCHING: pb.CONTAINER_FETCHING,
    ContainerState.LAUNCHING: pb.CONTAINER_LAUNCHING,
    ContainerState.RUNNING: pb.CONTAINER_RUNNING,
    ContainerState.DESTROYING: pb.CONTAINER_DESTROYING,
    ContainerState.STUCK: pb.CONTAINER_STUCK,
    ContainerState.TERMINATED: pb.CONTAINER_TERMINATED,
}
_STATES_FROM_WIRE = {number: state for state, number in _STATES_TO_WIRE.items()}


class WaitUntil(Enum):
    """When a launch is answered: once it is durable, once it runs, once it has ended."""

    DURABLE = "durable"
    RUNNING = "running"
    TERMINATED = "terminated"


_WAIT_FROM_WIRE = {
    container_service_pb2.WAIT_UNTIL_UNSPECIFIED: WaitUntil.DURABLE,
    container_service_pb2.WAIT_UNTIL_RUNNING: WaitUntil.RUNNING,
    container_service_pb2.WAIT_UNTIL_TERMINATED: WaitUntil.TERMINATED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneLaunch:
    """An operator's LaunchContainer call. `container_id` None: the agent makes one."""

    container_id: ContainerId | None
    command: CommandInfo
    resources: Resources
    limits: ResourceLimits
    container: ContainerInfo
    kill_policy: KillPolicy
    max_completion_time_ms: int
    labels: tuple[tuple[str, str], ...]
    name: str
    wait_until: WaitUntil
    log_policy: LogPolicy
    health_check: HealthCheck | None


def container_id_from_wire(message: pb.ContainerId, field: str = "container_id") -> ContainerId:
    """A checked id; nested containers are refused by name."""
    if message.HasField("parent"):
        raise Unsupported(f"{field}.parent", "leave it out: containers are not nested")
    return ids.container_id(message.value, f"{field}.value")


def container_id_to_wire(container_id: ContainerId) -> pb.ContainerId:
    """Without a parent."""
    return pb.ContainerId(value=container_id)


def standalone_launch_from_wire(message: container_service_pb2.LaunchContainerRequest) -> StandaloneLaunch:
    """Field names in errors are the request's own."""
    if message.wait_until not in _WAIT_FROM_WIRE:
        raise InvalidRequest(
            "wait_until", message.wait_until, "use WAIT_UNTIL_RUNNING, WAIT_UNTIL_TERMINATED or nothing"
        )
    container_id = None
    if message.container_id.HasField("parent") or message.container_id.value:
        container_id = container_id_from_wire(message.container_id)
    container = container_info_from_wire(message.container)
    command = command_from_wire(message.command, of_image=container.type is ContainerType.DOCKER)
    resources = resources_from_wire(message.resources)
    check_container(container, command, resources)
    return StandaloneLaunch(
        container_id=container_id,
        command=command,
        resources=resources,
        limits=limits_from_wire(message.limits),
        container=container,
        kill_policy=kill_policy_from_wire(message.kill_policy),
        max_completion_time_ms=bounds.duration_ms(message.max_completion_time_ms, "max_completion_time_ms"),
        labels=bounds.labels(message.labels, "labels"),
        name=bounds.text(message.name, "name"),
        wait_until=_WAIT_FROM_WIRE[message.wait_until],
        log_policy=log_policy_from_wire(message.log_policy),
        health_check=health_check_from_wire(message.health_check) if message.HasField("health_check") else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerUpdate:
    """An operator's UpdateContainer call: what is to change."""

    container_id: ContainerId
    resources: Resources
    limits: ResourceLimits
    validate_only: bool = False


def container_update_from_wire(message: container_service_pb2.UpdateContainerRequest) -> ContainerUpdate:
    """Something must be asked for."""
    update = ContainerUpdate(
        container_id=container_id_from_wire(message.container_id),
        resources=resources_from_wire(message.resources),
        limits=limits_from_wire(message.limits),
        validate_only=message.validate_only,
    )
    if not message.resources and update.limits == ResourceLimits():
        raise InvalidRequest("limits", "", "say what is to change: resources, or one of the limits")
    bounds.unique([resource.name for resource in message.resources], "resources")
    return update


def container_to_wire(container: Container) -> pb.Container:
    """The whole container. The environment's values stay on the agent: they may be secrets, and lists go to anybody."""
    config = container.config
    docker = config.container.docker
    message = pb.Container(
        container_id=container_id_to_wire(config.container_id),
        state=_STATES_TO_WIRE[container.state],
        agent_id=config.agent_id,
        framework_id=config.framework_id,
        task_id=config.task_id,
        type=container_type_to_wire(config.container.type),
        pid=container.pid,
        shim_pid=container.shim_pid,
        user=config.user.name,
        sandbox=config.sandbox,
        cgroup_paths=container.cgroup_paths,
        created=bounds.timestamp(container.created_ns),
        started=bounds.timestamp(container.started_ns),
        ended=bounds.timestamp(container.ended_ns),
        termination=None if container.termination is None else termination_to_wire(container.termination),
        stuck=bounds.shown(container.stuck),
        unapplied=[bounds.shown(line) for line in container.unapplied],
        labels=dict(config.labels),
        name=config.name,
        health_check=None if config.health_check is None else health_check_to_wire(config.health_check),
        healthy=container.healthy,
        health=None if container.health is None else health_evidence_to_wire(container.health),
        docker=None if docker is None else docker_info_to_wire(docker),
    )
    message.MergeFrom(_asked_to_wire(config.command, config.resources, config.limits))
    return message


@same_remembered
def _asked_to_wire(command: CommandInfo, resources: Resources, limits: ResourceLimits) -> pb.Container:
    """What containers of one service have in common."""
    message = pb.Container(
        command=command_to_wire(command), resources=resources_to_wire(resources), limits=limits_to_wire(limits)
    )
    for variable in message.command.environment:
        variable.ClearField("value")
    return message


def container_state_from_wire(number: int, field: str = "state") -> ContainerState:
    """A state must be known."""
    for wire, state in _STATES_FROM_WIRE.items():
        if wire == number:
            return state
    raise InvalidRequest(field, number, "use a ContainerState")


def termination_from_wire(message: pb.Termination, field: str = "termination") -> Termination:
    """As a client reads it."""
    return Termination(
        wait_status=message.wait_status if message.HasField("wait_status") else None,
        state=task_state_from_wire(message.state, f"{field}.state"),
        reason=message.reason,
        message=bounds.text(message.message, f"{field}.message", bounds.MESSAGE_LIMIT_BYTES),
        evidence=evidence_from_wire(message.evidence, f"{field}.evidence"),
    )


def termination_to_wire(termination: Termination) -> pb.Termination:
    """What termination_from_wire turns back into the same."""
    return pb.Termination(
        wait_status=termination.wait_status,
        state=task_state_to_wire(termination.state),
        reason=reason_to_wire(termination.reason),
        message=bounds.shown(termination.message),
        evidence=evidence_to_wire(termination.evidence),
    )


def effective_limit_from_wire(message: pb.EffectiveLimit) -> EffectiveLimit:
    """An empty `in_force` means that it could not be read."""
    return EffectiveLimit(
        resource=message.resource,
        asked=message.asked,
        isolator=message.isolator,
        path=message.path,
        planned=message.planned,
        in_force=message.in_force or None,
        remark=message.remark,
    )


def effective_limit_to_wire(limit: EffectiveLimit) -> pb.EffectiveLimit:
    """What effective_limit_from_wire turns back into the same."""
    return pb.EffectiveLimit(
        resource=limit.resource,
        asked=bounds.shown(limit.asked),
        isolator=limit.isolator,
        path=bounds.shown(limit.path),
        planned=bounds.shown(limit.planned),
        in_force=bounds.shown(limit.in_force or ""),
        remark=bounds.shown(limit.remark),
    )
