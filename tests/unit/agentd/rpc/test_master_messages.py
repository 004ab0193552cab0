"""A kill as the master tells it: who asked and why, also from a master that does not say; and what a registration says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.core.effects import RegisteredTask, Registration
from agentd.core.events import KillTask
from agentd.rpc.master_messages import ASKED_BY_LIMIT_BYTES, kill_of, registration_to_wire
from paddock.model.agent import AgentInfo
from paddock.model.errors import InvalidRequest
from paddock.model.ids import AgentId, ContainerId, FrameworkId, TaskId
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo, KillPolicy, Reason, ResourceLimits, TaskInfo, TaskState
from paddock.wire import convert
from paddock.wire.v1 import agent_registry_service_pb2 as pb
from paddock.wire.v1 import tasks_pb2

texts = st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(("f", "..", "x" * 300, "x" * 2_000))


def test_an_older_master_passes_on_the_frameworks_kill() -> None:
    told = kill_of(pb.KillTask(framework_id="f", task_id="t"))
    assert told == KillTask(framework_id=FrameworkId("f"), task_id=TaskId("t"), policy=None)
    assert (told.by, told.reason) == ("the framework", Reason.KILL_REQUESTED)


def test_who_asked_and_why_arrive() -> None:
    message = pb.KillTask(
        framework_id="f",
        task_id="t",
        kill_policy=tasks_pb2.KillPolicy(signal=2, grace_period_ms=7),
        asked_by="root (uid 0), who drains the agent",
        reason=tasks_pb2.REASON_AGENT_DRAINING,
    )
    told = kill_of(message)
    assert (told.by, told.reason) == ("root (uid 0), who drains the agent", Reason.AGENT_DRAINING)
    assert told.policy == KillPolicy(signal=2, grace_period_ms=7)


@given(texts, texts, texts, st.integers(-(2**31), 2**31 - 1))
def test_whatever_is_told_is_a_kill_or_an_error_with_a_field(
    framework: str, task: str, asked_by: str, reason: int
) -> None:
    message = pb.KillTask(framework_id=framework, task_id=task, asked_by=asked_by, reason=reason)  # type: ignore[arg-type]
    honest = 0 < len(framework) <= 255 and 0 < len(task) <= 255
    try:
        told = kill_of(message)
    except InvalidRequest:
        return
    assert honest
    assert told.by
    assert len(told.by.encode()) <= ASKED_BY_LIMIT_BYTES
    assert told.reason in {Reason.KILL_REQUESTED, Reason.AGENT_DRAINING}


def test_a_registration_says_what_was_asked_for_and_what_is_in_force() -> None:
    asked = TaskInfo(
        task_id=TaskId("t1"),
        name="n",
        agent_id=AgentId("a1"),
        resources=Resources(),
        command=CommandInfo(arguments=("/bin/true",)),
        limits=ResourceLimits(pids_count=7),
    )
    task = RegisteredTask(
        framework_id=FrameworkId("f"),
        task=asked,
        state=TaskState.RUNNING,
        container_id=ContainerId("c"),
        resizing=Resources(),
        limits=ResourceLimits(pids_count=9, cpus_milli=-1),
    )
    whole = Registration(tasks=(task,), frameworks=(), standalone=Resources(), problem="")
    info = AgentInfo(agent_id=AgentId("a1"), hostname="h", resources=Resources())
    (said,) = registration_to_wire(info, whole).register.tasks
    assert convert.task_info_from_wire(said.task).limits == asked.limits
    assert convert.limits_from_wire(said.limits_in_force) == task.limits


def test_too_many_words_name_the_field() -> None:
    with pytest.raises(InvalidRequest, match="asked_by"):
        kill_of(pb.KillTask(framework_id="f", task_id="t", asked_by="x" * (ASKED_BY_LIMIT_BYTES + 1)))
