"""All of the agent's gRPC services on one server."""

from __future__ import annotations

import os

from agentd.config import Settings
from agentd.containerizer.contract import Containerizer
from agentd.gc.pins import Pins
from agentd.rpc import containers, exec, sandbox, tasks  # noqa: A004 - the service's own name
from agentd.rpc.access import Access
from agentd.rpc.powers import Powers
from agentd.shell import Shell
from agentd.users import Users
from paddock.rpc import exposure
from paddock.rpc.server import RpcServer, Service
from paddock.rpc.tokens import TokenAuthenticator, TokenIssuer
from paddock.wire.v1.agent_task_service_pb2_grpc import add_AgentTaskServiceServicer_to_server
from paddock.wire.v1.container_service_pb2_grpc import add_ContainerServiceServicer_to_server
from paddock.wire.v1.exec_service_pb2_grpc import add_ExecServiceServicer_to_server
from paddock.wire.v1.sandbox_service_pb2_grpc import add_SandboxServiceServicer_to_server


class Services:
    """Started once, stopped once."""

    def __init__(
        self,
        settings: Settings,
        shell: Shell,
        containerizer: Containerizer,
        access: Access,
        users: Users,
        powers: Powers,
        pins: Pins,
    ) -> None:
        """Raises ConfigError when an address is none, or there are more than the server takes."""
        container_servicer = containers.ContainerServicer(
            shell, containerizer, access, users, powers, settings.work_dir, settings.log_policy
        )
        sandbox_servicer = sandbox.SandboxServicer(shell, access, pins)
        exec_servicer = exec.ExecServicer(shell, containerizer, access, users)
        task_servicer = tasks.TaskServicer(shell, access)
        issuer = TokenIssuer()
        unix_path, tcp_address = settings.addresses
        self._server = RpcServer(
            services=(
                Service(
                    name=containers.SERVICE_NAME,
                    register=lambda server: add_ContainerServiceServicer_to_server(container_servicer, server),
                ),
                Service(
                    name=sandbox.SERVICE_NAME,
                    register=lambda server: add_SandboxServiceServicer_to_server(sandbox_servicer, server),
                ),
                Service(
                    name=exec.SERVICE_NAME,
                    register=lambda server: add_ExecServiceServicer_to_server(exec_servicer, server),
                ),
                Service(
                    name=tasks.SERVICE_NAME,
                    register=lambda server: add_AgentTaskServiceServicer_to_server(task_servicer, server),
                ),
            ),
            authenticator=TokenAuthenticator(issuer, tcp_uid=settings.tcp_uid),
            issuer=issuer,
            unix_path=unix_path,
            tcp_address=tcp_address,
        )
        self._unix_path = unix_path
        self._tcp_address = tcp_address
        self._tcp_uid = settings.tcp_uid

    @property
    def tcp_port(self) -> int:
        """The port in use, 0 without TCP."""
        return self._server.tcp_port

    async def start(self) -> None:
        """Serving, and health says so, when this returns."""
        if self._unix_path:
            os.makedirs(os.path.dirname(self._unix_path), mode=0o755, exist_ok=True)
        await self._server.start()
        exposure.tell(self._tcp_address, self._tcp_uid)
        await self._server.set_serving(serving=True)

    async def set_serving(self, *, serving: bool) -> None:
        """What health says."""
        await self._server.set_serving(serving=serving)

    async def stop(self, *, grace_s: float) -> None:
        """Idempotent."""
        await self._server.stop(grace_s=grace_s)
