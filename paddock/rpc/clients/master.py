"""The client of a master's OperatorService: lists, the tasks' changes, a kill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio

from paddock.model.errors import NotLeading, TimedOut, Unavailable
from paddock.rpc.channel import Address, open_channel
from paddock.rpc.clients.views import AgentView, FrameworkView, KillView, OfferView, StateView, TaskView
from paddock.rpc.clients.views_from_wire import agent_view, framework_view, offer_view, state_view, task_view
from paddock.rpc.errors import remote_errors
from paddock.rpc.leader import StaticMasters
from paddock.wire import convert
from paddock.wire.v1 import operator_service_pb2 as pb
from paddock.wire.v1 import tasks_pb2
from paddock.wire.v1.operator_service_pb2_grpc import OperatorServiceStub

_PAGE_COUNT = 1_000
_CONNECT_TIMEOUT_S = 5.0


@asynccontextmanager
async def connect_master(addresses: tuple[str, ...]) -> AsyncIterator[MasterClient]:
    """The first master of the list that leads, or the leader that one names. Unavailable names those that were tried."""
    masters = StaticMasters(addresses)
    failures: list[str] = []
    silent: set[Address] = set()
    for _ in range(len(addresses) + 1):
        address = masters.current()
        if address in silent:
            break
        async with open_channel(address) as channel:
            client = MasterClient(channel, address)
            try:
                await client.check()
            except NotLeading as error:
                failures.append(f"{address}: {error}")
                masters.redirected(error.leader_address)
                continue
            except Unavailable as error:
                failures.append(f"{address}: {error}")
                masters.failed(address)
                continue
            except TimedOut:
                # As when its whole host is away: asked once, because each time costs all of the time-out.
                failures.append(f"{address}: no answer within {_CONNECT_TIMEOUT_S:g} s")
                masters.failed(address)
                silent.add(address)
                continue
            yield client
            return
    raise no_master("; ".join(dict.fromkeys(failures)))


def no_master(tried: str) -> Unavailable:
    """What a person is told who called the wrong address, or too early."""
    return Unavailable(
        f"no master answers as the leader ({tried}): start masterd, or say its address by --master or PADDOCK_MASTER"
    )


class MasterClient:
    """Answers as views. What the master refuses comes out as the same PaddockError."""

    def __init__(self, channel: grpc.aio.Channel, address: Address) -> None:
        """The channel stays its opener's."""
        self.address = address
        self.channel = channel
        self._stub = OperatorServiceStub(channel)
        self._subject = f"master at {address}"

    async def check(self) -> None:
        """Raises Unavailable, NotLeading, or TimedOut."""
        with remote_errors(self._subject):
            await self._stub.GetMaster(pb.GetMasterRequest(), timeout=_CONNECT_TIMEOUT_S)

    async def get_epoch(self) -> int:
        """Of the master's life: another one after each of its starts."""
        with remote_errors(self._subject):
            return (await self._stub.GetMaster(pb.GetMasterRequest(), timeout=_CONNECT_TIMEOUT_S)).epoch

    async def get_state(self) -> StateView:
        """All of it in numbers."""
        with remote_errors(self._subject):
            return state_view(await self._stub.GetState(pb.GetStateRequest()))

    async def list_tasks(self, *, framework_id: str = "", include_terminated: bool = False) -> tuple[TaskView, ...]:
        """All pages."""
        request = pb.ListTasksRequest(
            page_size=_PAGE_COUNT, framework_id=framework_id, include_terminated=include_terminated
        )
        found: list[TaskView] = []
        while True:
            with remote_errors(self._subject):
                answer = await self._stub.ListTasks(request)
            found += map(task_view, answer.tasks)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return tuple(found)

    async def watch_tasks(self, *, framework_id: str = "") -> AsyncIterator[TaskView]:
        """The tasks as they are, then each change, until the caller stops."""
        with remote_errors(self._subject):
            async for answer in self._stub.WatchTasks(pb.WatchTasksRequest(framework_id=framework_id)):
                if answer.HasField("task"):
                    yield task_view(answer.task)

    async def list_agents(self) -> tuple[AgentView, ...]:
        """All pages."""
        request = pb.ListAgentsRequest(page_size=_PAGE_COUNT)
        found: list[AgentView] = []
        while True:
            with remote_errors(self._subject):
                answer = await self._stub.ListAgents(request)
            found += map(agent_view, answer.agents)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return tuple(found)

    async def list_frameworks(self) -> tuple[FrameworkView, ...]:
        """All pages."""
        request = pb.ListFrameworksRequest(page_size=_PAGE_COUNT)
        found: list[FrameworkView] = []
        while True:
            with remote_errors(self._subject):
                answer = await self._stub.ListFrameworks(request)
            found += map(framework_view, answer.frameworks)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return tuple(found)

    async def list_offers(self) -> tuple[OfferView, ...]:
        """All pages."""
        request = pb.ListOffersRequest(page_size=_PAGE_COUNT)
        found: list[OfferView] = []
        while True:
            with remote_errors(self._subject):
                answer = await self._stub.ListOffers(request)
            found += map(offer_view, answer.offers)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return tuple(found)

    async def kill_task(
        self,
        *,
        framework_id: str,
        task_id: str,
        signal: int | None,
        grace_ms: int | None,
        validate_only: bool = False,
    ) -> KillView:
        """None: what the task's own kill policy says. Returns once the master has taken the request."""
        request = pb.OperatorKillTaskRequest(framework_id=framework_id, task_id=task_id, validate_only=validate_only)
        if signal is not None or grace_ms is not None:
            request.kill_policy.CopyFrom(tasks_pb2.KillPolicy(signal=signal or 0, grace_period_ms=grace_ms))
        with remote_errors(self._subject):
            answer = await self._stub.KillTask(request)
        policy = convert.kill_policy_from_wire(answer.kill_policy)
        return KillView(policy=policy, waits_for_agent=answer.waits_for_agent)
