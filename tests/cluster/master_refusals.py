"""How each method of masterd refuses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from paddock.wire.v1 import (
    agent_registry_service_pb2,
    drain_service_pb2,
    explain_service_pb2,
    lifecycle_service_pb2,
    maintenance_service_pb2,
    offers_pb2,
    operator_service_pb2,
    parties_pb2,
    policy_service_pb2,
    reservation_service_pb2,
    resize_service_pb2,
    resources_pb2,
    scheduler_service_pb2,
    watch_service_pb2,
)
from tests.cluster.refusals import (
    FAR,
    FILTERS,
    FOR_ALL,
    NO_RULES,
    NO_SUCH,
    NOTHING_ASKED,
    NOTHING_NAMED,
    Bad,
    Known,
    Refusals,
    page,
)


def table(known: Known) -> dict[str, Refusals]:
    """By service and method."""
    return {**_scheduler(known), **_operator(known), **_lifecycle(known), **_policy(known)}


def _scheduler(known: Known) -> dict[str, Refusals]:
    pb = scheduler_service_pb2
    speaker = {"framework_id": known.framework_id, "subscription_id": known.subscription_id}
    nobody = {"framework_id": NO_SUCH}

    def row(
        kind: type[Message], about: str, value: object, *, bad: Mapping[str, object], good: Mapping[str, object]
    ) -> Refusals:
        return Refusals(
            invalid=Bad(request=kind(**{**speaker, **bad}), about=about, value=value),
            unknown=Bad(request=kind(**{**nobody, **good}), about="framework", value=NO_SUCH),
            forbidden=Bad(request=kind(**{**speaker, **good})),
        )

    task = {"task_id": "t"}
    cpus = [resources_pb2.Resource(name="cpus", scalar_milli=100)]
    at_agent = {"agent_id": known.agent_id}
    reserve = offers_pb2.Operation(reserve=offers_pb2.Operation.Reserve())
    info = parties_pb2.FrameworkInfo
    message = agent_registry_service_pb2.AgentMessage
    return {
        "AgentRegistryService/Connect": Refusals(
            invalid=Bad(
                request=message(pong=agent_registry_service_pb2.AgentPong(sequence=1)), about="message", value="pong"
            ),
            unknown=NOTHING_NAMED,
            forbidden=Bad(request=message(register=agent_registry_service_pb2.RegisterAgent())),
        ),
        "SchedulerService/Subscribe": Refusals(
            invalid=Bad(
                request=pb.SubscribeRequest(framework=info(roles=["a//b"])), about="framework.roles[0]", value="a//b"
            ),
            unknown="an id that nobody knows is taken as it is",
            forbidden=Bad(request=pb.SubscribeRequest(framework=info(framework_id=known.framework_id))),
        ),
        "SchedulerService/Accept": row(
            pb.AcceptRequest, "operations[0].reserve.resources", "", bad={"operations": [reserve]}, good={}
        ),
        "SchedulerService/Decline": row(
            pb.DeclineRequest, "offer_ids[1]", "a/b", bad={"offer_ids": ["o", "a/b"]}, good={}
        ),
        "SchedulerService/Kill": row(pb.KillRequest, "task_id", "..", bad={"task_id": ".."}, good=task),
        "SchedulerService/Resize": row(
            pb.ResizeRequest, "resources", "", bad=task, good={**task, "resources": cpus}
        ),
        "SchedulerService/Acknowledge": row(
            pb.AcknowledgeRequest, "uuid", "78", bad={**task, **at_agent, "uuid": b"x"},
            good={**task, **at_agent, "uuid": b"\1" * 16},
        ),
        "SchedulerService/Reconcile": row(
            pb.ReconcileRequest, "tasks[0].task_id", "a/b",
            bad={"tasks": [pb.ReconcileRequest.TaskToReconcile(task_id="a/b")]}, good={},
        ),
        "SchedulerService/Revive": row(pb.ReviveRequest, "roles[0]", "-x", bad={"roles": ["-x"]}, good={}),
        "SchedulerService/Suppress": row(pb.SuppressRequest, "roles", "other", bad={"roles": ["other"]}, good={}),
        "SchedulerService/AnswerInverseOffer": row(
            pb.AnswerInverseOfferRequest, "agent_id", "..", bad={"agent_id": ".."}, good=at_agent
        ),
        "SchedulerService/Teardown": Refusals(
            invalid=Bad(request=pb.TeardownRequest(framework_id="a\nb"), about="framework_id", value="a\nb"),
            unknown=Bad(request=pb.TeardownRequest(framework_id=NO_SUCH), about="framework", value=NO_SUCH),
            forbidden=Bad(request=pb.TeardownRequest(**speaker)),
        ),
    }  # fmt: skip


def _operator(known: Known) -> dict[str, Refusals]:
    pb, watch = operator_service_pb2, watch_service_pb2.WatchRequest(resource_version=FAR)
    watches = Refusals(
        invalid=Bad(request=watch, about="resource_version", value=FAR, code="OUT_OF_RANGE"),
        unknown=NOTHING_NAMED,
        forbidden=FOR_ALL,
    )
    nothing = Refusals(invalid=NOTHING_ASKED, unknown=NOTHING_ASKED, forbidden=FOR_ALL)
    return {
        "OperatorService/GetMaster": nothing,
        "OperatorService/GetState": nothing,
        "OperatorService/ListAgents": page(pb.ListAgentsRequest(page_size=-1)),
        "OperatorService/ListFrameworks": page(pb.ListFrameworksRequest(page_size=-1)),
        "OperatorService/ListOffers": page(pb.ListOffersRequest(page_size=-1)),
        "OperatorService/ListTasks": page(pb.ListTasksRequest(page_size=-1), unknown=FILTERS),
        "OperatorService/GetTask": Refusals(
            invalid=Bad(request=pb.GetTaskRequest(task_id="a/b"), about="task_id", value="a/b"),
            unknown=Bad(request=pb.GetTaskRequest(task_id=NO_SUCH), about="task", value=NO_SUCH),
            forbidden="everybody may know; what a task's environment holds is left out",
        ),
        "OperatorService/WatchTasks": Refusals(
            invalid=Bad(request=pb.WatchTasksRequest(resource_version=FAR), about="resource_version", value=FAR),
            unknown=FILTERS,
            forbidden=FOR_ALL,
        ),
        "OperatorService/KillTask": Refusals(
            invalid=Bad(request=pb.OperatorKillTaskRequest(task_id="x" * 256), about="task_id", value="x" * 100),
            unknown=Bad(request=pb.OperatorKillTaskRequest(task_id=NO_SUCH), about="task", value=NO_SUCH),
            forbidden=Bad(request=pb.OperatorKillTaskRequest(task_id=known.task_id)),
        ),
        "ResizeService/ResizeTask": _resize(known),
        "ExplainService/ExplainOffers": page(
            explain_service_pb2.ExplainOffersRequest(page_size=-1),
            unknown=Bad(
                request=explain_service_pb2.ExplainOffersRequest(agent_id=NO_SUCH), about="agent", value=NO_SUCH
            ),
        ),
        **{f"WatchService/Watch{name}": watches for name in ("Agents", "Frameworks", "Roles", "Offers")},
    }


def _resize(known: Known) -> Refusals:
    cpus = [resources_pb2.Resource(name="cpus", scalar_milli=100)]
    request = partial(resize_service_pb2.ResizeTaskRequest, framework_id=known.task_framework_id, task_id=known.task_id)
    return Refusals(
        invalid=Bad(
            request=request(resources=[resources_pb2.Resource(name="mem", scalar_milli=-5)]),
            about="resources[0].scalar_milli",
            value=-5,
        ),
        unknown=Bad(
            request=request(task_id=NO_SUCH, resources=cpus),
            about="running task",
            value=NO_SUCH,
        ),
        forbidden=Bad(request=request(resources=cpus, validate_only=True)),
    )


def _lifecycle(known: Known) -> dict[str, Refusals]:
    pb, drain = lifecycle_service_pb2, drain_service_pb2

    def of_agent(kind: type[Message], *, about: str = "agent_id", value: object = "..") -> Refusals:
        bad = {"agent_id": known.agent_id, about: value}
        return Refusals(
            invalid=Bad(request=kind(**bad), about=about, value=value),
            unknown=Bad(request=kind(agent_id=NO_SUCH), about="agent", value=NO_SUCH),
            forbidden=Bad(request=kind(agent_id=known.agent_id, validate_only=True)),
        )

    def window(start_s: int) -> maintenance_service_pb2.UpdateMaintenanceRequest:
        each = maintenance_service_pb2.MaintenanceWindow(hostname="host", start=Timestamp(seconds=start_s))
        return maintenance_service_pb2.UpdateMaintenanceRequest(schedule=[each], validate_only=True)

    teardown = pb.TeardownFrameworkRequest
    return {
        "LifecycleService/DeactivateAgent": of_agent(pb.DeactivateAgentRequest),
        "LifecycleService/ReactivateAgent": of_agent(pb.ReactivateAgentRequest),
        "LifecycleService/MarkAgentGone": of_agent(pb.MarkAgentGoneRequest),
        "LifecycleService/TeardownFramework": Refusals(
            invalid=Bad(request=teardown(framework_id=""), about="framework_id", value=""),
            unknown=Bad(request=teardown(framework_id=NO_SUCH), about="framework", value=NO_SUCH),
            forbidden=Bad(request=teardown(framework_id=known.framework_id, validate_only=True)),
        ),
        "DrainService/DrainAgent": of_agent(drain.DrainAgentRequest, about="max_grace_ms", value=FAR),
        "DrainService/CancelDrain": of_agent(drain.CancelDrainRequest),
        "MaintenanceService/ListMaintenance": page(maintenance_service_pb2.ListMaintenanceRequest(page_size=-1)),
        "MaintenanceService/UpdateMaintenance": Refusals(
            invalid=Bad(request=window(0), about="schedule[0].start", value=""),
            unknown=Bad(
                request=maintenance_service_pb2.UpdateMaintenanceRequest(cancel_hostnames=[NO_SUCH]),
                about="maintenance window of host",
                value=NO_SUCH,
            ),
            forbidden=Bad(request=window(4_000_000_000)),
        ),
    }


def _policy(known: Known) -> dict[str, Refusals]:
    pb, apply = policy_service_pb2, reservation_service_pb2.ApplyOperationRequest
    less = pb.QuotaChange(role="prod", guarantees=pb.Amounts(milli={"cpus": -1}))
    some = resources_pb2.Resource(
        name="cpus", scalar_milli=1000, reservations=[resources_pb2.Reservation(role="prod", principal="uid:0")]
    )
    reserve = offers_pb2.Operation(reserve=offers_pb2.Operation.Reserve(resources=[some]))
    by_naming = "a role is there once somebody names it"
    return {
        "PolicyService/ListRoles": page(pb.ListRolesRequest(page_size=-1)),
        "PolicyService/UpdateQuotas": Refusals(
            invalid=Bad(
                request=pb.UpdateQuotasRequest(changes=[less]), about="changes[0].guarantees[0].cpus", value=-1
            ),
            unknown=by_naming,
            forbidden=NO_RULES,
        ),
        "PolicyService/UpdateWeights": Refusals(
            invalid=Bad(
                request=pb.UpdateWeightsRequest(weights_milli={"prod": 0}), about="weights_milli['prod']", value=0
            ),
            unknown=by_naming,
            forbidden=NO_RULES,
        ),
        "ReservationService/ListReservations": page(reservation_service_pb2.ListReservationsRequest(page_size=-1)),
        "ReservationService/ApplyOperation": Refusals(
            invalid=Bad(request=apply(agent_id=known.agent_id), about="operation.operation", value=""),
            unknown=Bad(request=apply(agent_id=NO_SUCH, operation=reserve), about="agent", value=NO_SUCH),
            forbidden=NO_RULES,
        ),
    }
