"""Whatever bytes come in: an event that the core may trust, or an error that names the field; never anything else."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from masterd.core.events import LaunchRefused
from masterd.rpc.agents import event_of, registration
from paddock.model.errors import InvalidRequest, PaddockError
from paddock.model.ids import FrameworkId, TaskId
from paddock.model.task import Reason, ResourceLimits
from paddock.wire import convert
from paddock.wire.v1 import agent_registry_service_pb2 as pb
from paddock.wire.v1 import parties_pb2, resources_pb2, tasks_pb2

texts = st.text(max_size=8) | st.sampled_from(("", "a1", "t/1", "..", "\0", "x" * 300))
states = st.integers(-1, 20)
amounts = st.integers(-(2**63), 2**63 - 1)


@st.composite
def resources(draw: st.DrawFn) -> bytes:
    message = resources_pb2.Resource(name=draw(texts.map(clean)), allocation_role=draw(texts.map(clean)))
    if draw(st.booleans()):
        message.scalar_milli = draw(amounts)
    else:
        bounds = st.integers(0, 2**64 - 1)
        message.ranges.ranges.add(begin=draw(bounds), end=draw(bounds))
    return message.SerializeToString()


def clean(text: str) -> str:
    return text.encode("utf-8", "ignore").decode()


@st.composite
def messages(draw: st.DrawFn) -> pb.AgentMessage:
    """Messages that parse, filled with what honest agents never say."""
    text = texts.map(clean)
    status = tasks_pb2.TaskStatus(
        task_id=draw(text),
        state=draw(states),  # type: ignore[arg-type]
        source=draw(states),  # type: ignore[arg-type]
        uuid=draw(st.binary(max_size=20)),
        agent_id=draw(text),
        container_id=draw(text),
    )
    update = pb.UpdateStatus(framework_id=draw(text), status=status, latest_state=draw(states))  # type: ignore[arg-type]
    standalone = pb.UpdateStandalone()
    for raw in draw(st.lists(resources(), max_size=3)):
        standalone.resources.add().MergeFromString(raw)
    refused = pb.LaunchRefused(
        framework_id=draw(text),
        task_ids=draw(st.lists(text, max_size=3)),
        message=draw(text),
        reason=draw(states),  # type: ignore[arg-type]
    )
    resized = pb.TaskResized(framework_id=draw(text), task_id=draw(text), error=draw(text))
    for raw in draw(st.lists(resources(), max_size=3)):
        resized.resources.add().MergeFromString(raw)
    choices = (
        pb.AgentMessage(task_resized=resized),
        pb.AgentMessage(update_status=update),
        pb.AgentMessage(update_standalone=standalone),
        pb.AgentMessage(launch_refused=refused),
        pb.AgentMessage(problem=pb.AgentProblem(message=draw(text))),
        pb.AgentMessage(pong=pb.AgentPong(sequence=draw(st.integers(0, 2**64 - 1)))),
        pb.AgentMessage(register=pb.RegisterAgent()),
        pb.AgentMessage(),
    )
    return draw(st.sampled_from(choices))


@given(messages())
def test_an_agents_words_are_checked(message: pb.AgentMessage) -> None:
    with suppress(PaddockError):
        event_of(message, 1)


@given(st.binary(max_size=200))
@example(pb.AgentMessage(update_status=pb.UpdateStatus(framework_id="f")).SerializeToString())
def test_an_agents_bytes_are_checked(raw: bytes) -> None:
    try:
        message = pb.AgentMessage.FromString(raw)
    except DecodeError:
        return
    with suppress(PaddockError):
        if message.HasField("register"):
            registration(message.register, 1)
        else:
            event_of(message, 1)


_AGENT = parties_pb2.AgentInfo(agent_id="a1", hostname="h")
_FOREIGN = tasks_pb2.TaskInfo(
    task_id="t1", name="t1", agent_id="a2", command=tasks_pb2.CommandInfo(arguments=["/bin/true"])
)
_RUNNING = pb.RegisteredTask(framework_id="f", task=_FOREIGN, state=tasks_pb2.TASK_RUNNING)
_ODD_LIMITS = pb.RegisteredTask(
    framework_id="f",
    task=_FOREIGN,
    state=tasks_pb2.TASK_RUNNING,
    limits_in_force=tasks_pb2.ResourceLimits(pids_count=-2),
)
_UNKNOWN = pb.RegisteredTask(framework_id="f", task=_FOREIGN, state=tasks_pb2.TASK_STATE_UNSPECIFIED)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.RegisterAgent(), "agent.agent_id"),
        (pb.RegisterAgent(agent=_AGENT, tasks=[_RUNNING]), "tasks[0].task.agent_id"),
        (pb.RegisterAgent(agent=_AGENT, tasks=[_UNKNOWN]), "tasks[0].state"),
        (pb.RegisterAgent(agent=_AGENT, tasks=[_ODD_LIMITS]), "tasks[0].limits_in_force.pids_count"),
        (pb.RegisterAgent(agent=_AGENT, frameworks=[parties_pb2.FrameworkInfo()]), "frameworks[0].framework_id"),
    ],
)
def test_a_registration_names_what_is_wrong_in_it(message: pb.RegisterAgent, field: str) -> None:
    with pytest.raises(PaddockError, match=re.escape(field)):
        registration(message, 1)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (pb.TaskResized(framework_id="f", task_id="t1"), "task_resized.resources"),
        (
            pb.TaskResized(
                framework_id="f",
                task_id="t1",
                resources=[resources_pb2.Resource(name="cpus", scalar_milli=1)],
                limits=tasks_pb2.ResourceLimits(memory_bytes=0),
            ),
            "task_resized.limits.memory_bytes",
        ),
    ],
)
def test_a_resize_that_cannot_be_is_refused_by_the_name_of_its_field(said: pb.TaskResized, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        event_of(pb.AgentMessage(task_resized=said), 1)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (tasks_pb2.REASON_AGENT_PROBLEM, Reason.AGENT_PROBLEM),
        (999, 999),
        # As an agent of an older version says it.
        (tasks_pb2.REASON_UNSPECIFIED, Reason.RESOURCES_UNKNOWN),
    ],
)
def test_a_refused_launch_arrives_with_its_reason(said: tasks_pb2.Reason.ValueType, heard: int) -> None:
    refused = pb.LaunchRefused(framework_id="f", task_ids=["t1"], message="no", reason=said)
    assert event_of(pb.AgentMessage(launch_refused=refused), 7) == LaunchRefused(
        stream=7, framework_id=FrameworkId("f"), task_ids=(TaskId("t1"),), reason=heard, message="no"
    )


def test_what_an_agent_registers_arrives_whole() -> None:
    agent = parties_pb2.AgentInfo(agent_id="a1", hostname="h", cgroup_mode="v1")
    task = tasks_pb2.TaskInfo(
        task_id="t1", name="n", agent_id="a1", command=tasks_pb2.CommandInfo(arguments=["/bin/true"])
    )
    running = pb.RegisteredTask(framework_id="f", task=task, state=tasks_pb2.TASK_RUNNING, container_id="c1")
    changed = pb.RegisteredTask()
    changed.CopyFrom(running)
    changed.limits_in_force.pids_count = 9
    event = registration(pb.RegisterAgent(agent=agent, tasks=[running, changed]), 7)
    assert (event.stream, event.agent.cgroup_mode) == (7, "v1")
    assert [each.limits for each in event.tasks] == [None, ResourceLimits(pids_count=9)]
    reported, _ = event.tasks
    assert (reported.framework_id, reported.task, reported.container_id) == (
        "f",
        convert.task_info_from_wire(task),
        "c1",
    )


def test_a_task_whose_image_would_be_refused_now_keeps_no_agent_from_registering() -> None:
    """It was accepted by an earlier version, and runs."""
    task = tasks_pb2.TaskInfo(task_id="t1", name="n", agent_id="a1")
    task.container.docker.image = "REG/app:1"
    running = pb.RegisteredTask(framework_id="f", task=task, state=tasks_pb2.TASK_RUNNING, container_id="c1")
    event = registration(pb.RegisterAgent(agent=parties_pb2.AgentInfo(agent_id="a1", hostname="h"), tasks=[running]), 7)
    docker = event.tasks[0].task.container.docker
    assert docker is not None
    assert (docker.image.registry, docker.image.repository, docker.image.tag) == ("REG", "app", "1")
