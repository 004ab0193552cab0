"""The master's services, ready for the server."""

from __future__ import annotations

from masterd.rpc.agents import AgentRegistry
from masterd.rpc.drains import Drains
from masterd.rpc.operators import Operators
from masterd.rpc.schedulers import Schedulers
from masterd.shell import MasterShell
from paddock.rpc.principal import Authorizer
from paddock.rpc.server import Service
from paddock.wire.v1.agent_registry_service_pb2_grpc import add_AgentRegistryServiceServicer_to_server
from paddock.wire.v1.drain_service_pb2_grpc import add_DrainServiceServicer_to_server
from paddock.wire.v1.operator_service_pb2_grpc import add_OperatorServiceServicer_to_server
from paddock.wire.v1.scheduler_service_pb2_grpc import add_SchedulerServiceServicer_to_server


def services(shell: MasterShell, authorizer: Authorizer) -> tuple[Service, ...]:
    """For agents, for frameworks, for operators."""
    agents = AgentRegistry(shell, authorizer)
    schedulers, operators = Schedulers(shell), Operators(shell)
    drains = Drains(shell)
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
            name="paddock.wire.v1.DrainService",
            register=lambda server: add_DrainServiceServicer_to_server(drains, server),
        ),
    )
