"""OperatorService: the master as people and programs look at it, page by page and as it changes."""
# ruff: noqa: N802 - the methods' names are the proto's

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc.aio import ServicerContext

from masterd.core import inspection, tasks
from masterd.core.events import OperatorKill
from masterd.core.views import AgentState, AgentView, Drain, FrameworkState, FrameworkView, TaskView
from masterd.rpc.callers import current_caller
from masterd.rpc.schedulers import kill_policy_or_none
from masterd.rpc.summaries import counted, state_to_wire
from masterd.shell import MasterShell
from paddock.model import ids
from paddock.model.errors import InvalidRequest
from paddock.model.ids import AgentId, FrameworkId
from paddock.rpc.pages import page_on_wire
from paddock.rpc.principal import ROOT_UID, current_principal
from paddock.wire import convert
from paddock.wire.v1 import operator_service_pb2 as pb
from paddock.wire.v1 import parties_pb2
from paddock.wire.v1.operator_service_pb2_grpc import OperatorServiceServicer

PAGE_DEFAULT_COUNT = 100
PAGE_LIMIT_COUNT = 1_000
_NS_PER_S = 1_000_000_000
_Context = ServicerContext[Message, Message]
Key = TypeVar("Key")
Sent = TypeVar("Sent", bound=Message)
_PageRequest = pb.ListAgentsRequest | pb.ListFrameworksRequest | pb.ListOffersRequest | pb.ListTasksRequest

_AGENT_STATES = {
    AgentState.RECOVERED: pb.AGENT_DISCONNECTED,
    AgentState.CONNECTED: pb.AGENT_ACTIVE,
    AgentState.DISCONNECTED: pb.AGENT_DISCONNECTED,
    AgentState.UNREACHABLE: pb.AGENT_UNREACHABLE,
}


class Operators(OperatorServiceServicer):
    """Reads the core's state between two events, which on the loop's thread is any time."""

    def __init__(self, shell: MasterShell) -> None:
        self._shell = shell
        self._started_ns = shell.wall_ns()

    async def GetState(self, request: pb.GetStateRequest, context: _Context) -> pb.MasterState:
        """Counted now."""
        return state_to_wire(self._shell, await counted(self._shell), started_ns=self._started_ns)

    async def GetMaster(self, request: pb.GetMasterRequest, context: _Context) -> parties_pb2.MasterInfo:
        """Who this is."""
        return convert.master_info_to_wire(self._shell.machine.state.master)

    async def ListAgents(self, request: pb.ListAgentsRequest, context: _Context) -> pb.ListAgentsResponse:
        """By id."""
        state = self._shell.machine.state

        def to_wire(agent_id: AgentId) -> pb.Agent:
            return agent_to_wire(inspection.agent_view(state, state.agents[agent_id]))

        page, token = _page(state.agents, str, to_wire, request)
        return pb.ListAgentsResponse(agents=page, next_page_token=token)

    async def ListFrameworks(self, request: pb.ListFrameworksRequest, context: _Context) -> pb.ListFrameworksResponse:
        """By id; those that have ended too, as long as they are remembered."""
        state = self._shell.machine.state
        known = inspection.frameworks(state)

        def to_wire(framework_id: FrameworkId) -> pb.Framework:
            return framework_to_wire(inspection.framework_view(state, known[framework_id]))

        page, token = _page(known, str, to_wire, request)
        return pb.ListFrameworksResponse(frameworks=page, next_page_token=token)

    async def ListOffers(self, request: pb.ListOffersRequest, context: _Context) -> pb.ListOffersResponse:
        """Those that wait for an answer, by id."""
        offers = self._shell.machine.state.offers
        page, token = _page(offers, str, lambda offer_id: convert.offer_to_wire(offers[offer_id].offer), request)
        return pb.ListOffersResponse(offers=page, next_page_token=token)

    async def ListTasks(self, request: pb.ListTasksRequest, context: _Context) -> pb.ListTasksResponse:
        """By framework and task id. The resource version is where a watch goes on from."""
        state = self._shell.machine.state
        keys = inspection.task_keys(
            state,
            framework_id=_framework_id_or_none(request.framework_id),
            include_terminated=request.include_terminated,
        )

        def to_wire(key: inspection.TaskKey) -> pb.Task:
            view = inspection.find_task(state, key)
            assert view is not None, "nothing changes between two events"
            return self._task(view)

        page, token = _page(keys, "/".join, to_wire, request)
        return pb.ListTasksResponse(tasks=page, next_page_token=token, resource_version=state.task_version)

    async def GetTask(self, request: pb.GetTaskRequest, context: _Context) -> pb.Task:
        """By id, or by a prefix that is unique."""
        view = inspection.resolve_task(
            self._shell.machine.state,
            framework_id=_framework_id_or_none(request.framework_id),
            text=ids.check_id(request.task_id, "task_id"),
        )
        return self._task(view)

    async def WatchTasks(
        self, request: pb.WatchTasksRequest, context: _Context
    ) -> AsyncIterator[pb.WatchTasksResponse]:
        """From version 0: all tasks, a bookmark, then each change. From a later one: the changes since, a bookmark, and on."""
        wanted = _framework_id_or_none(request.framework_id)
        state, feed = self._shell.machine.state, self._shell.feed
        version = request.resource_version
        if version > state.task_version:
            raise InvalidRequest("resource_version", version, f"the newest is {state.task_version}; list again")
        if version == 0:
            version = state.task_version
            keys = inspection.task_keys(state, framework_id=wanted, include_terminated=True)
            views = [view for key in keys if (view := inspection.find_task(state, key)) is not None]
            for view in views:
                yield pb.WatchTasksResponse(resource_version=version, task=self._task(view))
        bookmark = True
        while True:
            for change in feed.after(version):
                version = change.version
                if wanted is None or change.task.framework_id == wanted:
                    yield pb.WatchTasksResponse(resource_version=version, task=self._task(change.task))
            if bookmark:
                bookmark = False
                yield pb.WatchTasksResponse(resource_version=version, bookmark=True)
            if not feed.after(version):
                await feed.wait()

    async def KillTask(self, request: pb.OperatorKillTaskRequest, context: _Context) -> pb.OperatorKillTaskResponse:
        """Answers when the master has taken it; the task's end is seen by watching."""
        view = inspection.resolve_task(
            self._shell.machine.state,
            framework_id=_framework_id_or_none(request.framework_id),
            text=ids.check_id(request.task_id, "task_id"),
        )
        event = OperatorKill(
            caller=current_caller(),
            framework_id=view.framework_id,
            task_id=view.task.task_id,
            kill_policy=kill_policy_or_none(request.kill_policy, given=request.HasField("kill_policy")),
        )
        task = tasks.named(self._shell.machine.state, event)
        agent = self._shell.machine.state.agents.get(task.agent_id)
        answer = pb.OperatorKillTaskResponse(
            kill_policy=convert.kill_policy_to_wire(event.kill_policy or task.info.kill_policy),
            waits_for_agent=agent is None or agent.state is not AgentState.CONNECTED,
        )
        if not request.validate_only:
            await self._shell.call(event)
        return answer

    def _task(self, view: TaskView) -> pb.Task:
        """What a task's environment holds is for its owner's eyes and root's: values of others are left out."""
        principal = current_principal()
        owner = self._shell.machine.state.framework(view.framework_id)
        if principal.uid != ROOT_UID and (owner is None or owner.info.principal != principal.name):
            command = view.task.command
            names = tuple((name, "") for name, _ in command.environment)
            view = replace(view, task=replace(view.task, command=replace(command, environment=names)))
        return task_to_wire(view)


def _page(
    keys: Iterable[Key], token_of: Callable[[Key], str], to_wire: Callable[[Key], Sent], request: _PageRequest
) -> tuple[list[Sent], str]:
    """In the order of their tokens; a token's own key need not be there any more."""
    return page_on_wire(
        keys,
        key=token_of,
        to_wire=to_wire,
        size=request.page_size or PAGE_DEFAULT_COUNT,
        token=request.page_token,
        limit_count=PAGE_LIMIT_COUNT,
    )


def _framework_id_or_none(text: str) -> FrameworkId | None:
    return ids.framework_id(text, "framework_id") if text else None


def _timestamp(time_ns: int) -> Timestamp | None:
    return Timestamp(seconds=time_ns // _NS_PER_S, nanos=time_ns % _NS_PER_S) if time_ns else None


def agent_to_wire(view: AgentView) -> pb.Agent:
    """An agent that has not come back since the master's start counts as disconnected."""
    return pb.Agent(
        info=convert.agent_info_to_wire(view.info),
        state=_AGENT_STATES[view.state],
        used=convert.resources_to_wire(view.used),
        offered=convert.resources_to_wire(view.offered),
        registered=_timestamp(view.registered_ns),
        standalone=convert.resources_to_wire(view.standalone),
        deactivated=view.deactivated,
        unavailability=convert.unavailability_to_wire(view.unavailability),
        drain=drain_to_wire(view.drain),
        problem=view.problem,
    )


def drain_to_wire(drain: Drain | None) -> pb.Drain | None:
    """None when there is none."""
    if drain is None:
        return None
    state = pb.DRAINED if drain.is_done else pb.DRAINING
    return pb.Drain(state=state, asked_by=drain.asked_by, max_grace_ms=drain.max_grace_ms, mark_gone=drain.mark_gone)


def framework_to_wire(view: FrameworkView) -> pb.Framework:
    """Active and connected are the same until an operator may deactivate one."""
    subscribed = view.state is FrameworkState.SUBSCRIBED
    return pb.Framework(
        info=convert.framework_info_to_wire(view.info),
        active=subscribed,
        connected=subscribed,
        used=convert.resources_to_wire(view.used),
        offered=convert.resources_to_wire(view.offered),
        subscribed=_timestamp(view.subscribed_ns),
        task_count=view.task_count,
        offer_count=view.offer_count,
        suppressed_roles=view.suppressed_roles,
    )


def task_to_wire(view: TaskView) -> pb.Task:
    """With the addresses of its agent, so that a client can go there."""
    return pb.Task(
        task=convert.task_info_to_wire(view.task),
        framework_id=view.framework_id,
        framework_name=view.framework_name,
        role=view.role,
        agent_id=view.agent_id,
        hostname=view.hostname,
        container_id=view.container_id,
        state=convert.task_state_to_wire(view.state),
        statuses=[convert.task_status_to_wire(status) for status in view.statuses],
        agent_unix_address=view.unix_address,
        agent_tcp_address=view.tcp_address,
        limits_in_force=convert.limits_to_wire(view.limits),
    )
