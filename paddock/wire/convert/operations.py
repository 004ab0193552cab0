"""What is done with offers and with an agent's resources, protobuf ↔ model."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.model.errors import InvalidRequest, Unsupported
from paddock.model.offer import (
    CreateVolumes,
    DestroyVolumes,
    GrowVolume,
    Launch,
    Operation,
    Reserve,
    ShrinkVolume,
    Unreserve,
)
from paddock.model.resources import MILLI_LIMIT, Resource, Resources
from paddock.model.task import TaskInfo
from paddock.wire.convert import bounds
from paddock.wire.convert.resources import resources_from_wire, resources_to_wire
from paddock.wire.convert.tasks import task_info_to_wire, task_infos_from_wire
from paddock.wire.v1 import offers_pb2 as pb
from paddock.wire.v1 import resources_pb2, tasks_pb2


def operations_from_wire(messages: Sequence[pb.Operation], field: str = "operations") -> tuple[Operation, ...]:
    """In order. Each task id once over all of them."""
    bounds.count(messages, field)
    operations = tuple(operation_from_wire(message, f"{field}[{index}]") for index, message in enumerate(messages))
    tasks = [task.task_id for operation in operations if isinstance(operation, Launch) for task in operation.tasks]
    bounds.count(tasks, f"{field}.tasks", bounds.TASKS_LIMIT_COUNT)
    bounds.unique(tasks, f"{field}.tasks")
    return operations


def operation_from_wire(message: pb.Operation, field: str = "operation") -> Operation:
    """Checked for form; whether it can be done, the master's core knows."""
    operation_id = bounds.text(message.operation_id, f"{field}.operation_id")
    match message.WhichOneof("operation"):
        case "launch":
            return Launch(tasks=task_infos_from_wire(message.launch.tasks, f"{field}.launch.tasks"))
        case "reserve":
            resources = _some(message.reserve.resources, f"{field}.reserve.resources")
            return Reserve(resources=resources, operation_id=operation_id)
        case "unreserve":
            resources = _some(message.unreserve.resources, f"{field}.unreserve.resources")
            return Unreserve(resources=resources, operation_id=operation_id)
        case "create":
            volumes = _some(message.create.volumes, f"{field}.create.volumes")
            return CreateVolumes(volumes=volumes, operation_id=operation_id)
        case "destroy":
            volumes = _some(message.destroy.volumes, f"{field}.destroy.volumes")
            return DestroyVolumes(volumes=volumes, operation_id=operation_id)
        case "grow_volume":
            return GrowVolume(
                volume=_one(message.grow_volume.volume, f"{field}.grow_volume.volume"),
                addition=_one(message.grow_volume.addition, f"{field}.grow_volume.addition"),
                operation_id=operation_id,
            )
        case "shrink_volume":
            by_milli = message.shrink_volume.subtract_milli
            if not 0 < by_milli <= MILLI_LIMIT:
                raise InvalidRequest(
                    f"{field}.shrink_volume.subtract_milli", by_milli, "say how much of it is to be disk again"
                )
            volume = _one(message.shrink_volume.volume, f"{field}.shrink_volume.volume")
            return ShrinkVolume(volume=volume, by_milli=by_milli, operation_id=operation_id)
        case None:
            raise InvalidRequest(f"{field}.operation", "", "name an operation")
        case other:
            raise Unsupported(f"{field}.{other}", "launch tasks one by one")


def _some(messages: Sequence[resources_pb2.Resource], field: str) -> Resources:
    found = resources_from_wire(messages, field)
    if not found:
        raise InvalidRequest(field, "", "name at least one resource")
    return found


def _one(message: resources_pb2.Resource, field: str) -> Resource:
    (found,) = _some([message], field)
    return found


def _launched(task: TaskInfo) -> tasks_pb2.TaskInfo:
    with bounds.sendable("task", task.task_id):
        return task_info_to_wire(task)


def operation_to_wire(operation: Operation) -> pb.Operation:
    """What operation_from_wire turns back into the same."""
    kind = pb.Operation
    match operation:
        case Launch(tasks=tasks):
            return kind(launch=kind.Launch(tasks=list(map(_launched, tasks))))
        case Reserve(resources=resources):
            made = kind(reserve=kind.Reserve(resources=resources_to_wire(resources)))
        case Unreserve(resources=resources):
            made = kind(unreserve=kind.Unreserve(resources=resources_to_wire(resources)))
        case CreateVolumes(volumes=volumes):
            made = kind(create=kind.Create(volumes=resources_to_wire(volumes)))
        case DestroyVolumes(volumes=volumes):
            made = kind(destroy=kind.Destroy(volumes=resources_to_wire(volumes)))
        case GrowVolume(volume=volume, addition=addition):
            grown, more = resources_to_wire(Resources((volume, addition)))
            made = kind(grow_volume=kind.GrowVolume(volume=grown, addition=more))
        case ShrinkVolume(volume=volume, by_milli=by_milli):
            (shrunk,) = resources_to_wire(Resources((volume,)))
            made = kind(shrink_volume=kind.ShrinkVolume(volume=shrunk, subtract_milli=by_milli))
    made.operation_id = operation.operation_id
    return made
