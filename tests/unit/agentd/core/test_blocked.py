"""While nothing can be made durable: what is refused, and in which words."""

from __future__ import annotations

import pytest

from agentd.core import effects, events, recovery
from agentd.core.launching import NO_WORK
from paddock.model.container import ContainerState
from paddock.model.errors import Unavailable
from paddock.model.ids import ContainerId, TaskId
from paddock.model.task import Evidence, LaunchFailure, Reason
from paddock.model.uri import CommandUri
from tests.unit.agentd.core import made
from tests.unit.agentd.core.test_machine import Story

C = ContainerId("c1")
WHY = "log at byte 7: it cannot be written: No space left on device"


def blocked() -> Story:
    story = Story()
    story.tell(events.MasterConnected())
    story.launch_task("t0", "c0")
    assert story.tell(events.LogBlocked(problem=WHY)) == (effects.SendProblem(problem=WHY),)
    # It is tried again and again.
    assert story.tell(events.LogBlocked(problem=WHY)) == ()
    return story


def test_a_standalone_launch_is_refused_at_once_and_changes_nothing() -> None:
    story = blocked()
    (answer,) = story.launch("c1", request_id=5)
    assert isinstance(answer, effects.Answer)
    assert (answer.request_id, answer.at_once) == (5, True)
    assert isinstance(answer.error, Unavailable)
    assert str(answer.error) == f"{NO_WORK}: {WHY}"
    assert ContainerId("c1") not in story.state.containers


def test_a_masters_launch_is_refused_by_name_but_for_what_is_known() -> None:
    story = blocked()
    launches = tuple(
        events.TaskLaunch(task=made.task(task_id), config=made.config(f"x-{task_id}", task_id=task_id))
        for task_id in ("t0", "t1", "t2")
    )
    (refused,) = story.tell(events.LaunchTasks(framework=made.FRAMEWORK, launches=launches))
    assert refused == effects.SendLaunchRefused(
        framework_id=made.FRAMEWORK.framework_id,
        task_ids=(TaskId("t1"), TaskId("t2")),
        reason=Reason.AGENT_PROBLEM,
        message=f"{NO_WORK}: {WHY}",
        at_once=True,
    )
    assert len(story.state.tasks) == 1


def test_afterwards_all_is_as_before() -> None:
    story = blocked()
    assert story.tell(events.LogBlocked(problem="")) == (effects.SendProblem(problem=""),)
    story.tell(events.MasterDisconnected())
    assert effects.SendProblem(problem="") not in story.tell(events.MasterConnected())
    story.launch("c1")
    assert ContainerId("c1") in story.state.containers


@pytest.mark.parametrize("steps", ["", "prepared", "killed", "prepared killed", "killed prepared", "refused"])
def test_a_launch_that_found_it_out_is_refused_at_once_and_never_launched(steps: str) -> None:
    story = Story()
    story.launch("c1", request_id=5)
    happen(story, steps)
    found = story.tell(events.LogBlocked(problem=WHY, unwritten=(C,)))
    (answer,) = [each for each in found if isinstance(each, effects.Answer)]
    assert (answer.request_id, answer.at_once, str(answer.error)) == (5, True, f"{NO_WORK}: {WHY}")
    if "prepared" not in steps and "refused" not in steps:
        found += story.tell(events.Prepared(container_id=C))
    conclude_once(story, found, known=steps in {"killed prepared", "refused"})


@pytest.mark.parametrize("steps", ["", "prepared", "killed", "prepared killed"])
def test_so_is_a_task_and_it_is_forgotten(steps: str) -> None:
    story = Story()
    story.tell(events.MasterConnected())
    story.launch_task("t1", "c1")
    happen(story, steps)
    found = story.tell(events.LogBlocked(problem=WHY, unwritten=(C,)))
    (refused,) = [each for each in found if isinstance(each, effects.SendLaunchRefused)]
    assert (refused.task_ids, refused.message, refused.at_once) == ((TaskId("t1"),), f"{NO_WORK}: {WHY}", True)
    assert refused.reason is Reason.AGENT_PROBLEM
    assert not story.state.tasks
    assert not story.state.frameworks
    # It is said again with each attempt to write.
    found += story.tell(events.LogBlocked(problem=WHY, unwritten=(C,)))
    if "prepared" not in steps:
        found += story.tell(events.Prepared(container_id=C))
    conclude_once(story, found, known=False)
    assert not any(isinstance(each, effects.SendStatus) for each in found)
    restored = made.state()
    recovery.restore(restored, recovery.snapshot(story.state))
    assert not restored.tasks


def test_with_uris_nothing_is_fetched() -> None:
    story = Story()
    config = made.config("c1", uris=(CommandUri(value="/etc/hostname"),))
    story.tell(events.LaunchStandalone(request_id=1, config=config))
    story.tell(events.Prepared(container_id=C))
    assert story.state.containers[C].state is ContainerState.FETCHING
    conclude_once(story, story.tell(events.LogBlocked(problem=WHY, unwritten=(C,))), known=False)


def happen(story: Story, steps: str) -> None:
    for step in steps.split():
        match step:
            case "prepared":
                story.tell(events.Prepared(container_id=C))
            case "killed":
                story.tell(events.KillContainer(request_id=9, container_id=C, policy=None, by="me"))
            case "refused":
                failure = LaunchFailure(stage="cpu", message="no")
                story.tell(events.PrepareRefused(container_id=C, failure=failure, error=Unavailable("no")))
            case _:
                raise AssertionError(step)


def conclude_once(story: Story, found: tuple[effects.Effect, ...], *, known: bool) -> None:
    """`known`: the conclusion was on its way before. Nothing else is done for the container."""
    assert not any(isinstance(each, effects.Launch | effects.Fetch) for each in found)
    concluding = [each for each in found if isinstance(each, effects.Conclude)]
    assert [each.launched for each in concluding] == [] if known else [False]
    story.tell(events.LogBlocked(problem=""))
    story.tell(events.Concluded(container_id=C, evidence=Evidence()))
    assert story.state.containers[C].state is ContainerState.TERMINATED
    assert story.state.free == made.TOTAL


def test_a_new_master_is_told_unless_the_registration_has_said_it() -> None:
    story = blocked()
    story.tell(events.MasterDisconnected())
    assert story.tell(events.LogBlocked(problem="else")) == ()
    assert story.tell(events.MasterConnected())[0] == effects.SendProblem(problem="else")
    story.tell(events.MasterDisconnected())
    assert effects.SendProblem(problem="else") not in story.tell(events.MasterConnected(problem="else"))
    story.tell(events.MasterDisconnected())
    story.tell(events.LogBlocked(problem=""))
    assert story.tell(events.MasterConnected(problem="else"))[0] == effects.SendProblem(problem="")
