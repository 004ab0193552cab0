"""The master's services, ready for the server."""

from __future__ import annotations

from masterd.rpc.agents import AgentRegistry
from masterd.rpc.drains import Drains
from masterd.rpc.explanations import Explanations
from masterd.rpc.lifecycle import Lifecycle
from masterd.rpc.maintenance import MaintenancePlans
from masterd.rpc.operators import Operators
from masterd.rpc.policy import Policy
from masterd.rpc.reservations import Reservations
from masterd.rpc.resizes import Resizes
from masterd.rpc.schedulers import Schedulers
from masterd.rpc.watches import Watches
from masterd.shell import MasterShell
from paddock.rpc.principal import Authorizer
from paddock.rpc.server import Service
from paddock.wire.v1.agent_registry_service_pb2_grpc import add_AgentRegistryServiceServicer_to_server
from paddock.wire.v1.drain_service_pb2_grpc import add_DrainServiceServicer_to_server
from paddock.wire.v1.explain_service_pb2_grpc import add_ExplainServiceServicer_to_server
from paddock.wire.v1.lifecycle_service_pb2_grpc import add_LifecycleServiceServicer_to_server
from paddock.wire.v1.maintenance_service_pb2_grpc import add_MaintenanceServiceServicer_to_server
from paddock.wire.v1.operator_service_pb2_grpc import add_OperatorServiceServicer_to_server
from paddock.wire.v1.policy_service_pb2_grpc import add_PolicyServiceServicer_to_server
from paddock.wire.v1.reservation_service_pb2_grpc import add_ReservationServiceServicer_to_server
from paddock.wire.v1.resize_service_pb2_grpc import add_ResizeServiceServicer_to_server
from paddock.wire.v1.scheduler_service_pb2_grpc import add_SchedulerServiceServicer_to_server
from paddock.wire.v1.watch_service_pb2_grpc import add_WatchServiceServicer_to_server


def services(shell: MasterShell, authorizer: Authorizer) -> tuple[Service, ...]:
    """For agents, for frameworks, for operators."""
    agents = AgentRegistry(shell, authorizer)
    schedulers, operators, policy = Schedulers(shell), Operators(shell), Policy(shell)
    reservations, explanations = Reservations(shell), Explanations(shell)
    lifecycle, maintenance, watches = Lifecycle(shell), MaintenancePlans(shell), Watches(shell)
    drains, resizes = Drains(shell), Resizes(shell)
    return (
        Service(
            name="paddock.wire.v1.AgentRegistryService",
            register=lambda server: add_AgentRegistryServiceServicer_to_server(agents, server),
        ),
        Service(
            name="paddock.wire.v1.SchedulerService",
            register=lambda server: add_SchedulerServiceServicer_to_server(schedulers, server),
        ),
        Service(
            name="paddock.wire.v1.OperatorService",
            register=lambda server: add_OperatorServiceServicer_to_server(operators, server),
        ),
        Service(
            name="paddock.wire.v1.PolicyService",
            register=lambda server: add_PolicyServiceServicer_to_server(policy, server),
        ),
        Service(
            name="paddock.wire.v1.ReservationService",
            register=lambda server: add_ReservationServiceServicer_to_server(reservations, server),
        ),
        Service(
            name="paddock.wire.v1.ExplainService",
            register=lambda server: add_ExplainServiceServicer_to_server(explanations, server),
        ),
        Service(
            name="paddock.wire.v1.LifecycleService",
            register=lambda server: add_LifecycleServiceServicer_to_server(lifecycle, server),
        ),
        Service(
            name="paddock.wire.v1.MaintenanceService",
            register=lambda server: add_MaintenanceServiceServicer_to_server(maintenance, server),
        ),
        Service(
            name="paddock.wire.v1.WatchService",
            register=lambda server: add_WatchServiceServicer_to_server(watches, server),
        ),
        Service(
            name="paddock.wire.v1.DrainService",
            register=lambda server: add_DrainServiceServicer_to_server(drains, server),
        ),
        Service(
            name="paddock.wire.v1.ResizeService",
            register=lambda server: add_ResizeServiceServicer_to_server(resizes, server),
        ),
    )
