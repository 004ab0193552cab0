"""Lists as operators get them: page by page, each task once, no answer longer than one may be."""

from __future__ import annotations

import random
from typing import cast

import pytest
from google.protobuf.message import Message
from grpc.aio import ServicerContext

from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AllocatorSettings
from masterd.core.machine import Machine
from masterd.core.recovery import Remembered, recover
from masterd.core.state import FrameworkEntry, MasterState, Settings, TaskEntry
from masterd.core.views import FrameworkState
from masterd.rpc.operators import PAGE_LIMIT_COUNT, Operators
from masterd.shell import MasterShell
from paddock.model.agent import MasterInfo
from paddock.model.errors import InvalidRequest
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import AgentId, FrameworkId, MasterId, TaskId
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo, TaskInfo, TaskState
from paddock.rpc.pages import PAGE_LIMIT_BYTES
from paddock.rpc.principal import Principal, serve_as
from paddock.wire.v1 import operator_service_pb2 as pb
from tests.fakes.clock import FakeClock

NO_CONTEXT = cast("ServicerContext[Message, Message]", None)


async def operators_of(tasks: dict[str, list[str]], *, command: str = "/bin/true") -> Operators:
    """With these tasks of these frameworks."""
    serve_as(Principal(uid=0))
    state = recover(
        Remembered(),
        master=MasterInfo(master_id=MasterId("m"), epoch=1),
        settings=Settings(),
        allocator=DrfAllocator(AllocatorSettings()),
        shuffler=random.Random(1),
        now_ns=0,
        wall_ns=0,
    )
    for framework_id, task_ids in tasks.items():
        add(state, FrameworkId(framework_id), task_ids, command)
    return Operators(MasterShell(Machine(state), write=lambda _: None, clock=FakeClock(), allocation_interval_s=3600))


def add(state: MasterState, framework_id: FrameworkId, task_ids: list[str], command: str) -> None:
    entry = FrameworkEntry(info=FrameworkInfo(framework_id=framework_id), state=FrameworkState.RECOVERED)
    state.frameworks[framework_id] = entry
    for name in task_ids:
        info = TaskInfo(
            task_id=TaskId(name),
            name=name,
            agent_id=AgentId("a"),
            resources=Resources(),
            command=CommandInfo(arguments=(command,)),
        )
        entry.tasks[info.task_id] = TaskEntry(
            info=info,
            framework_id=framework_id,
            role="*",
            agent_id=info.agent_id,
            state=TaskState.RUNNING,
            limits=info.limits,
        )


async def pages(operators: Operators, page_size: int) -> list[list[str]]:
    found: list[list[str]] = []
    request = pb.ListTasksRequest(page_size=page_size)
    while True:
        answer = await operators.ListTasks(request, NO_CONTEXT)
        found.append([f"{task.framework_id}/{task.task.task_id}" for task in answer.tasks])
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


async def test_pages_are_everything_once_whatever_the_ids_begin_with() -> None:
    operators = await operators_of({"f": ["t1", "t2"], "f-2": ["t1"], "f.3": ["t1"], "f2": ["t1"]})
    assert await pages(operators, 2) == [["f-2/t1", "f.3/t1"], ["f/t1", "f/t2"], ["f2/t1"]]


async def test_a_page_of_long_commands_ends_before_it_is_too_long_for_one_answer() -> None:
    operators = await operators_of({"f": ["t1", "t2", "t3"]}, command="x" * (PAGE_LIMIT_BYTES // 3 + 1))
    assert await pages(operators, PAGE_LIMIT_COUNT) == [["f/t1", "f/t2"], ["f/t3"]]


async def test_without_a_size_a_page_has_a_hundred() -> None:
    operators = await operators_of({"f": [f"{number:03d}" for number in range(101)]})
    assert [len(page) for page in await pages(operators, 0)] == [100, 1]


async def test_a_negative_size_is_refused() -> None:
    operators = await operators_of({})
    with pytest.raises(InvalidRequest, match="page_size"):
        await pages(operators, -1)
