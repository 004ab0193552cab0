"""The agent's client of its master: one stream, registered anew after every break, with jittered back-off."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterable, AsyncIterator, Callable

from agentd.core import effects, events, recovery
from agentd.rpc.master_messages import (
    kill_of,
    launch_refused_to_wire,
    problem_to_wire,
    registration_to_wire,
    resize_of,
    standalone_to_wire,
    status_to_wire,
    task_resized_to_wire,
    volumes_found_to_wire,
    volumes_of_master,
    volumes_removed_to_wire,
)
from agentd.rpc.powers import Powers
from agentd.rpc.standalone_report import StandaloneReport
from agentd.rpc.task_launches import TaskLaunches
from agentd.shell import Shell
from agentd.users import Users
from agentd.wiring import MasterMessage
from paddock.model.agent import AgentInfo
from paddock.model.errors import NotLeading, PaddockError, Unavailable
from paddock.model.ids import framework_id, task_id
from paddock.model.task import LogPolicy
from paddock.rpc.backoff import Backoff
from paddock.rpc.channel import Address, open_channel
from paddock.rpc.errors import remote_errors
from paddock.rpc.knock import AWAY_LIMIT_S, NobodyThere, knock
from paddock.rpc.leader import LeaderDetector
from paddock.wire import convert
from paddock.wire.v1 import agent_registry_service_pb2 as pb
from paddock.wire.v1.agent_registry_service_pb2_grpc import AgentRegistryServiceStub

_log = logging.getLogger(__name__)

BACKOFF_LIMIT_S = 60.0
"""Between two registrations: a master that has no time for them must get less of them."""

REGISTER_TIMEOUT_S = 15.0
_MS_PER_S = 1000


class MasterClient:
    """Runs until `stop`. What is sent while there is no connection is lost: the machine sends it again."""

    def __init__(
        self,
        masters: LeaderDetector,
        shell: Shell,
        users: Users,
        powers: Powers,
        *,
        work_dir: str,
        log_policy: LogPolicy,
        info: Callable[[], AgentInfo],
    ) -> None:
        """`info` is asked at each registration."""
        self._masters = masters
        self._shell = shell
        self._launches = TaskLaunches(shell, users, powers, work_dir, log_policy=log_policy)
        self._info = info
        self._outgoing: asyncio.Queue[pb.AgentMessage | None] = asyncio.Queue()
        """None: the connection has ended."""
        self._standalone = StandaloneReport(self._put)
        self._registered = False
        self._told_problem = ""
        self._told_error = ""
        self._silence_s = REGISTER_TIMEOUT_S
        self._backoff = Backoff(random.Random(), longest_s=BACKOFF_LIMIT_S)
        self._away = Backoff(random.Random(), longest_s=AWAY_LIMIT_S)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect from now on."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def send(self, message: MasterMessage) -> None:
        """Only a registered agent is listened to."""
        if not self._registered:
            return
        if isinstance(message, effects.SendStandalone):
            self._standalone.tell(message)
        else:
            self._put(message)

    def _put(self, message: MasterMessage) -> None:
        self._outgoing.put_nowait(_to_wire(message))

    async def _run(self) -> None:
        while True:
            address = self._masters.current()
            pause = self._backoff
            try:
                await self._connect(address)
            except NotLeading as error:
                self._masters.redirected(error.leader_address)
            except PaddockError as error:
                if isinstance(error, NobodyThere):
                    pause = self._away
                self._tell(address, str(error))
                self._masters.failed(address)
            except Exception:  # noqa: BLE001 - an agent without a master tries again, whatever it was
                _log.exception("the connection to the master failed", extra={"master": str(address)})
                self._masters.failed(address)
            finally:
                self._standalone.stop()
                if self._registered:
                    self._registered = False
                    self._shell.post(events.MasterDisconnected())
            # All agents lose their master at the same moment; they must not come back at the same moment.
            await asyncio.sleep(pause.next_s())

    def _tell(self, address: Address, error: str) -> None:
        """Once: the same may be found every few seconds for months."""
        if error != self._told_error:
            self._told_error = error
            _log.warning("master is not connected", extra={"master": str(address), "error": error})

    async def _connect(self, address: Address) -> None:
        """One connection, from registration to its end."""
        self._silence_s = REGISTER_TIMEOUT_S
        self._outgoing = asyncio.Queue()
        self._standalone = StandaloneReport(self._put)
        await knock(address, f"master {address}")
        self._away.reset()
        try:
            async with open_channel(address) as channel:
                with remote_errors(f"master {address}"):
                    call = AgentRegistryServiceStub(channel).Connect(self._messages())
                    while (message := await self._next(call, address)) is not None:
                        await self._received(message)
        finally:
            # gRPC itself waits for more to send, for ever, when the master was the one who went.
            self._outgoing.put_nowait(None)

    async def _next(self, call: AsyncIterable[pb.MasterMessage], address: Address) -> pb.MasterMessage | None:
        """None at the end. Raises Unavailable."""
        try:
            async with asyncio.timeout(self._silence_s):
                return await anext(aiter(call), None)
        except TimeoutError:
            raise Unavailable(f"master {address} said nothing for {self._silence_s:g} s") from None

    async def _messages(self) -> AsyncIterator[pb.AgentMessage]:
        outgoing = self._outgoing
        registration = recovery.registration(self._shell.state)
        self._told_problem = registration.problem
        yield registration_to_wire(self._info(), registration)
        while (message := await outgoing.get()) is not None:
            yield message

    async def _received(self, message: pb.MasterMessage) -> None:
        kind = message.WhichOneof("message")
        if kind == "ping":
            self._outgoing.put_nowait(pb.AgentMessage(pong=pb.AgentPong(sequence=message.ping.sequence)))
            return
        if kind == "registered":
            self._on_registered(message)
            return
        try:
            await self._perform(kind, message)
        except PaddockError as error:
            # The master checks what it sends; what is wrong all the same must not cost the connection.
            _log.warning("master's message is refused", extra={"kind": kind, "error": str(error)})

    def _on_registered(self, message: pb.MasterMessage) -> None:
        period_s = message.registered.ping_interval_ms * max(message.registered.ping_limit_count, 1) / _MS_PER_S
        self._silence_s = period_s or REGISTER_TIMEOUT_S
        self._backoff.reset()
        self._told_error = ""
        self._registered = True
        _log.info("registered with master", extra={"master_id": message.master.master_id})
        self._shell.post(events.MasterConnected(problem=self._told_problem))
        if not message.registered.HasField("volumes"):
            return
        try:
            self._shell.post(volumes_of_master(message.registered.volumes, "registered.volumes"))
        except PaddockError as error:
            _log.warning("master's volumes are refused", extra={"error": str(error)})

    async def _perform(self, kind: str | None, message: pb.MasterMessage) -> None:
        match kind:
            case "volumes":
                self._shell.post(volumes_of_master(message.volumes, "volumes"))
            case "launch_tasks":
                await self._launches.launch(message.launch_tasks)
            case "kill_task":
                self._shell.post(kill_of(message.kill_task))
            case "resize_task":
                self._shell.post(resize_of(message.resize_task))
            case "acknowledge_status":
                acknowledged = message.acknowledge_status
                self._shell.post(
                    events.AcknowledgeStatus(
                        framework_id=framework_id(acknowledged.framework_id),
                        task_id=task_id(acknowledged.task_id),
                        uuid=convert.uuid_from_wire(acknowledged.uuid),
                    )
                )
            case "remove_framework":
                removed = framework_id(message.remove_framework.framework_id)
                self._shell.post(events.RemoveFramework(framework_id=removed))
            case "reconcile_task":
                asked = message.reconcile_task
                self._shell.post(
                    events.ReconcileTask(framework_id=framework_id(asked.framework_id), task_id=task_id(asked.task_id))
                )
            case _:
                _log.warning("master's message is not known", extra={"kind": kind})


def _to_wire(message: MasterMessage) -> pb.AgentMessage:
    match message:
        case effects.SendStatus():
            return status_to_wire(message)
        case effects.SendStandalone():
            return standalone_to_wire(message)
        case effects.SendLaunchRefused():
            return launch_refused_to_wire(message)
        case effects.SendProblem():
            return problem_to_wire(message)
        case effects.SendVolumesRemoved():
            return volumes_removed_to_wire(message)
        case effects.SendVolumesFound():
            return volumes_found_to_wire(message)
        case effects.SendTaskResized():
            return task_resized_to_wire(message)
