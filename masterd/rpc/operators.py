"""OperatorService: the master as people and programs look at it, page by page and as it changes."""
# ruff: noqa: N802 - the methods' names are the proto's

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc.aio import ServicerContext

from masterd.core import inspection
from masterd.core.events import OperatorKill
from masterd.core.views import AgentState, AgentView, FrameworkState, FrameworkView, TaskView
from masterd.rpc.callers import current_caller
from masterd.rpc.schedulers import kill_policy_or_none
from masterd.shell import MasterShell
from paddock.model import ids
from paddock.model.errors import InvalidRequest
from paddock.model.ids import FrameworkId
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

    async def GetMaster(self, request: pb.GetMasterRequest, context: _Context) -> parties_pb2.MasterInfo:
        """Who this is."""
        return convert.master_info_to_wire(self._shell.machine.state.master)

    async def ListAgents(self, request: pb.ListAgentsRequest, context: _Context) -> pb.ListAgentsResponse:
        """By id."""
        state = self._shell.machine.state
        page, token = _page(inspection.agent_ids(state), str, request.page_size, request.page_token)
        agents = [agent_to_wire(inspection.agent_view(state, state.agents[agent_id])) for agent_id in page]
        return pb.ListAgentsResponse(agents=agents, next_page_token=token)

    async def ListFrameworks(self, request: pb.ListFrameworksRequest, context: _Context) -> pb.ListFrameworksResponse:
        """By id; those that have ended too, as long as they are remembered."""
        state = self._shell.machine.state
        known = inspection.frameworks(state)
        page, token = _page(sorted(known), str, request.page_size, request.page_token)
        views = [framework_to_wire(inspection.framework_view(state, known[framework_id])) for framework_id in page]
        return pb.ListFrameworksResponse(frameworks=views, next_page_token=token)

    async def ListOffers(self, request: pb.ListOffersRequest, context: _Context) -> pb.ListOffersResponse:
        """Those that wait for an answer, by id."""
        offers = self._shell.machine.state.offers
        page, token = _page(sorted(offers), str, request.page_size, request.page_token)
        found = [convert.offer_to_wire(offers[offer_id].offer) for offer_id in page]
        return pb.ListOffersResponse(offers=found, next_page_token=token)

    async def ListTasks(self, request: pb.ListTasksRequest, context: _Context) -> pb.ListTasksResponse:
        """By framework and task id. The resource version is where a watch goes on from."""
        state = self._shell.machine.state
        keys = inspection.task_keys(
            state,
            framework_id=_framework_id_or_none(request.framework_id),
            include_terminated=request.include_terminated,
        )
        page, token = _page(keys, "/".join, request.page_size, request.page_token)
        views = [view for key in page if (view := inspection.find_task(state, key)) is not None]
        return pb.ListTasksResponse(
            tasks=[self._task(view) for view in views], next_page_token=token, resource_version=state.task_version
        )

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
        await self._shell.call(
            OperatorKill(
                caller=current_caller(),
                framework_id=view.framework_id,
                task_id=view.task.task_id,
                kill_policy=kill_policy_or_none(request.kill_policy, given=request.HasField("kill_policy")),
            )
        )
        return pb.OperatorKillTaskResponse()

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
    keys: Sequence[Key], token_of: Callable[[Key], str], page_size: int, page_token: str
) -> tuple[Sequence[Key], str]:
    """What comes after the token's key, which need not be there any more."""
    if page_size < 0:
        raise InvalidRequest("page_size", page_size, f"use 1 to {PAGE_LIMIT_COUNT}, or 0 for {PAGE_DEFAULT_COUNT}")
    size = min(page_size or PAGE_DEFAULT_COUNT, PAGE_LIMIT_COUNT)
    rest = [key for key in keys if token_of(key) > page_token] if page_token else keys
    page = rest[:size]
    return page, token_of(page[-1]) if len(rest) > size else ""


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
    )


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
    )
