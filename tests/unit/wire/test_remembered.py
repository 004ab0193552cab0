"""What a message meant is remembered by its bytes: never another's meaning, and never a refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.model.container import Container, ContainerConfig, ContainerState, UserIdentity
from paddock.model.errors import InvalidRequest
from paddock.model.ids import AgentId, ContainerId
from paddock.model.resources import Resources
from paddock.model.task import CommandInfo
from paddock.wire.convert import remembered
from paddock.wire.convert.commands import command_from_wire, limits_from_wire
from paddock.wire.convert.containers import container_to_wire
from paddock.wire.convert.resources import resources_from_wire
from paddock.wire.v1 import resources_pb2, tasks_pb2


def test_messages_that_say_the_same_give_the_same_value() -> None:
    one, other = (command_from_wire(tasks_pb2.CommandInfo(arguments=["/bin/true", "a"])) for _ in range(2))
    assert one is other
    assert command_from_wire(tasks_pb2.CommandInfo(arguments=["/bin/true", "b"])).arguments == ("/bin/true", "b")


def test_a_value_that_was_changed_after_it_was_read_is_read_anew() -> None:
    message = tasks_pb2.ResourceLimits(pids_count=7)
    assert limits_from_wire(message).pids_count == 7
    message.pids_count = 8
    assert limits_from_wire(message).pids_count == 8


@given(st.lists(st.tuples(st.sampled_from(["cpus", "mem", "a", "b"]), st.integers(1, 3)), max_size=4))
def test_lists_are_told_apart_by_their_elements(parts: list[tuple[str, int]]) -> None:
    messages = [resources_pb2.Resource(name=name, scalar_milli=milli) for name, milli in parts]
    found = {resource.name: getattr(resource.value, "milli", None) for resource in resources_from_wire(messages)}
    assert found == {name: sum(milli for other, milli in parts if other == name) for name, _ in parts}


def test_a_refusal_names_the_field_of_this_call() -> None:
    wrong = tasks_pb2.ResourceLimits(pids_count=-5)
    for field in ("limits", "tasks[3].limits"):
        with pytest.raises(InvalidRequest) as refused:
            limits_from_wire(wrong, field)
        assert f"{field}.pids_count" in str(refused.value)


def test_what_is_long_is_not_kept_and_what_is_kept_has_a_bound() -> None:
    secret = tasks_pb2.CommandInfo(arguments=["/bin/true", "x" * remembered.MAX_BYTES])
    assert command_from_wire(secret) is not command_from_wire(secret)
    first = tasks_pb2.CommandInfo(arguments=["first of many"])
    kept = command_from_wire(first)
    for number in range(remembered.MAX_COUNT):
        command_from_wire(tasks_pb2.CommandInfo(arguments=[f"one of many {number}"]))
    again = command_from_wire(first)
    assert again == kept
    assert again is not kept


def test_what_is_right_for_an_image_is_remembered_for_images_only() -> None:
    nothing = tasks_pb2.CommandInfo()
    assert command_from_wire(nothing, of_image=True).argv == ()
    with pytest.raises(InvalidRequest):
        command_from_wire(nothing)


def container_of(command: CommandInfo, resources: Resources) -> Container:
    user = UserIdentity(name="root", uid=0, gid=0, groups=(), home="/")
    config = ContainerConfig(
        container_id=ContainerId("c"),
        agent_id=AgentId("a"),
        command=command,
        resources=resources,
        user=user,
        sandbox="/s",
    )
    return Container(config=config, state=ContainerState.RUNNING)


def test_what_one_reader_does_to_an_answer_is_not_in_the_next_and_no_answer_has_a_variables_value() -> None:
    command = CommandInfo(arguments=("/bin/true",), environment=(("PASSWORD", "secret"),))
    container = container_of(command, Resources.scalars({"cpus": 500}))
    first = container_to_wire(container)
    whole = first.SerializeToString()
    first.command.arguments.append("more")
    first.resources[0].scalar_milli = 7
    again = container_to_wire(container)
    assert again.SerializeToString() == whole
    assert [(each.name, each.value) for each in again.command.environment] == [("PASSWORD", "")]
    assert b"secret" not in whole


def test_other_values_make_another_answer_though_each_lives_for_a_moment_only() -> None:
    for number in range(2 * remembered.MAX_COUNT):
        container = container_of(
            CommandInfo(arguments=("/bin/true", str(number))), Resources.scalars({"cpus": number + 1})
        )
        answer = container_to_wire(container)
        assert list(answer.command.arguments) == ["/bin/true", str(number)]
        assert [each.scalar_milli for each in answer.resources] == [number + 1]
