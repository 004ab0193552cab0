"""From what people type to the task that they mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paddock.cli.find import choose, not_ended
from paddock.cli.outcome import Conflict
from paddock.model.errors import InvalidRequest, NotFound
from paddock.model.task import TaskState
from tests.unit.cli.views import task_view


def test_the_whole_id_wins_over_a_prefix() -> None:
    tasks = (task_view("one"), task_view("one-2"))
    assert choose(tasks, "one").task.task_id == "one"


def test_a_unique_prefix_is_enough() -> None:
    tasks = (task_view("alpha"), task_view("beta"))
    assert choose(tasks, "b").task.task_id == "beta"


def test_an_ambiguous_prefix_names_the_candidates() -> None:
    tasks = tuple(task_view(f"task-{number}") for number in range(7))
    with pytest.raises(Conflict, match=r"'task-' is the beginning of 7 tasks \(task-0, .*task-4, …\)"):
        choose(tasks, "task-")


def test_of_several_with_a_prefix_the_only_one_that_goes_on_is_meant() -> None:
    ended = tuple(replace(task_view(f"web-{number}"), state=TaskState.KILLED) for number in range(2))
    assert choose((*ended, task_view("web-2")), "web").task.task_id == "web-2"
    for tasks in (ended, (*ended, task_view("web-2"), task_view("web-3"))):
        with pytest.raises(Conflict, match="beginning of"):
            choose(tasks, "web")


def test_one_id_in_two_frameworks_asks_for_the_framework() -> None:
    tasks = (task_view("same", framework_id="f1"), task_view("same", framework_id="f2"))
    with pytest.raises(Conflict, match="f1, f2.*--framework"):
        choose(tasks, "same")


def test_nothing_is_not_found() -> None:
    with pytest.raises(NotFound, match="task 'x' does not exist: `paddock ps -a` lists .*waits for an offer"):
        choose((task_view("y"),), "x")
    with pytest.raises(InvalidRequest):
        choose((task_view("y"),), "")


def test_what_has_ended_is_told_with_its_state() -> None:
    ended = replace(task_view("gone"), state=TaskState.FAILED)
    with pytest.raises(Conflict, match="task 'gone' has ended already: failed"):
        not_ended(ended)
    assert not_ended(replace(ended, state=TaskState.RUNNING)).state == TaskState.RUNNING
