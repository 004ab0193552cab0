"""The tables of states, walked over their whole product."""

from itertools import product
from pathlib import Path
from typing import TypeVar

import pytest

from agentd.core import container_states, task_states
from agentd.core.container_states import ContainerInput, next_state
from agentd.states_page import page
from paddock.model.container import ContainerState
from paddock.model.errors import InvalidTransition
from paddock.model.ids import ContainerId, TaskId
from paddock.model.task import TaskState

T = TypeVar("T")
ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(("state", "happened"), list(product(ContainerState, ContainerInput)))
def test_every_pair_has_its_row_or_is_refused_by_name(state: ContainerState, happened: ContainerInput) -> None:
    expected = container_states.TABLE.get((state, happened))
    if expected is None:
        with pytest.raises(InvalidTransition) as refused:
            next_state(ContainerId("c1"), state, happened)
        assert (refused.value.subject, refused.value.state, refused.value.event) == (
            "container c1",
            state.name,
            happened.name,
        )
    else:
        assert next_state(ContainerId("c1"), state, happened) is expected


def test_nothing_leaves_the_last_state() -> None:
    last = ContainerState.TERMINATED
    assert {b for (a, _), b in container_states.TABLE.items() if a is last} == {last}


def test_every_container_state_is_reached_and_reaches_the_end() -> None:
    edges = {(a, b) for (a, _), b in container_states.TABLE.items()}
    assert _reached(ContainerState.PREPARING, edges) == set(ContainerState)
    for state in ContainerState:
        assert ContainerState.TERMINATED in _reached(state, edges)


def test_destroying_is_asked_for_in_every_state() -> None:
    for state in ContainerState:
        assert (state, ContainerInput.STOP) in container_states.TABLE


@pytest.mark.parametrize(("state", "following"), list(product(TaskState, TaskState)))
def test_every_pair_of_task_states(state: TaskState, following: TaskState) -> None:
    if (state, following) in task_states.TABLE:
        task_states.check_follows(TaskId("t"), state, following)
        assert not state.is_terminal
    else:
        with pytest.raises(
            InvalidTransition, match=f"task t in state {state.name} has no transition for {following.name}"
        ):
            task_states.check_follows(TaskId("t"), state, following)


def test_every_told_task_state_can_end() -> None:
    edges = set(task_states.TABLE)
    told = {state for edge in edges for state in edge}
    assert _reached(TaskState.STAGING, edges) == told
    for state in told:
        assert any(reached.is_terminal for reached in _reached(state, edges))


def test_the_page_is_printed_from_the_tables() -> None:
    assert (ROOT / "docs" / "states.md").read_text("utf-8") == page(), (
        "run: python -m agentd.states_page > docs/states.md"
    )


def _reached(start: T, edges: set[tuple[T, T]]) -> set[T]:
    reached = {start}
    while more := {b for a, b in edges if a in reached} - reached:
        reached |= more
    return reached
