"""Another size for a running container, told as stories: what is counted, what is durable, who is answered."""

from dataclasses import replace

import pytest

from agentd.core import effects, events, recovery, resizing
from agentd.core.durable import ContainerResized, ContainerResizing
from agentd.core.effects import Effect
from agentd.core.machine import Machine
from agentd.core.state import AgentState
from paddock.model.container import ContainerConfig, ContainerState
from paddock.model.errors import (
    ContainerizerError,
    InvalidRequest,
    InvalidTransition,
    NotFound,
    PaddockError,
    ResourcesExhausted,
    Unavailable,
)
from paddock.model.ids import ContainerId, TaskId
from paddock.model.resource_text import parse_resources
from paddock.model.resources import Resources
from paddock.model.task import Evidence, KillPolicy, Reason, ResourceLimits, TaskState
from tests.unit.agentd.core import made
from tests.unit.agentd.core.test_machine import C, Story, answer, entries, kinds, statuses

REFUSED = ContainerizerError(C, "update", "EBUSY")
ONE_MORE = made.ONE + made.ONE
NO_LIMITS = ResourceLimits()


def resize(
    story: Story, resources: Resources = ONE_MORE, limits: ResourceLimits = NO_LIMITS, container_id: str = "c1"
) -> tuple[Effect, ...]:
    return story.tell(
        events.ResizeContainer(
            request_id=7, container_id=ContainerId(container_id), resources=resources, limits=limits, by="uid:0"
        )
    )


def test_the_wish_is_durable_before_the_kernel_hears_of_it_and_the_outcome_before_the_caller() -> None:
    story = Story()
    story.run()
    found = resize(story, limits=ResourceLimits(pids_count=5))
    assert kinds(found) == ["Checkpoint", "Resize"]
    assert entries(found) == [
        ContainerResizing(container_id=C, resources=ONE_MORE, limits=ResourceLimits(pids_count=5), by="uid:0")
    ]
    assert story.state.containers[C].config.resources == made.ONE  # what is in force, as far as anybody knows
    found = story.tell(events.Resized(container_id=C, unapplied=("memsw",)))
    assert kinds(found) == ["Checkpoint", "Publish", "Answer"]
    assert answer(found) == effects.Answer(request_id=7)
    container = story.state.containers[C]
    assert (container.config.resources, container.config.limits) == (ONE_MORE, ResourceLimits(pids_count=5))
    assert container.view().config.resources == ONE_MORE
    assert container.view().unapplied == ("memsw",)
    assert story.state.free == made.TOTAL - ONE_MORE


def test_a_refusal_leaves_everything_as_it_was() -> None:
    story = Story()
    story.run()
    resize(story)
    assert story.state.free == made.TOTAL - ONE_MORE  # nobody else may have it meanwhile
    found = story.tell(events.Resized(container_id=C, error=REFUSED))
    assert entries(found) == [ContainerResized(container_id=C, applied=False)]
    assert answer(found).error is REFUSED
    assert story.state.containers[C].config.resources == made.ONE
    assert story.state.free == made.TOTAL - made.ONE
    assert story.state.standalone == made.ONE


def test_what_is_given_back_is_free_only_when_it_is_really_given_back() -> None:
    story = Story()
    story.run()
    half = parse_resources("cpus:0.5;mem:500")
    resize(story, half)
    assert story.state.free == made.TOTAL - made.ONE
    story.tell(events.Resized(container_id=C))
    assert story.state.free == made.TOTAL - half
    assert story.state.standalone == half


def test_what_is_only_rehearsed_changes_nothing() -> None:
    story = Story()
    story.run()
    before = (story.state.containers[C].config, story.state.containers[C].resizing, story.state.free)

    def rehearse(resources: Resources, container_id: ContainerId = C) -> ContainerConfig:
        limits = ResourceLimits(pids_count=9)
        event = events.ResizeContainer(
            request_id=0, container_id=container_id, resources=resources, limits=limits, by="uid:0"
        )
        return resizing.rehearsed(story.state, event)

    config = rehearse(ONE_MORE)
    assert (config.resources, config.limits) == (ONE_MORE, ResourceLimits(pids_count=9))
    with pytest.raises(ResourcesExhausted, match="cpus:8 more was asked for"):
        rehearse(Resources.scalars({"cpus": 9000}))
    with pytest.raises(NotFound):
        rehearse(ONE_MORE, ContainerId("nobody"))
    assert (story.state.containers[C].config, story.state.containers[C].resizing, story.state.free) == before
    resize(story)
    with pytest.raises(Unavailable, match="is being resized by uid:0"):
        rehearse(ONE_MORE)


def test_a_tasks_amounts_are_rehearsed_in_the_place_of_what_it_has_of_its_role() -> None:
    story = running_task()
    (container,) = story.state.containers.values()
    container.config = replace(container.config, resources=made.ONE.allocated_to("prod"))
    event = events.ResizeContainer(
        request_id=0,
        container_id=C,
        resources=Resources.scalars({"mem": 2_000_000, "cpus": 1_500}),
        limits=ResourceLimits(),
        by="uid:0",
    )
    assert resizing.rehearsed(story.state, event).resources == event.resources.allocated_to("prod")


def test_what_is_not_named_stays() -> None:
    story = Story()
    story.run()
    resize(story, Resources.scalars({"cpus": 2000}), ResourceLimits(swap_bytes=5))
    story.tell(events.Resized(container_id=C))
    resize(story, Resources(), ResourceLimits(pids_count=9))
    story.tell(events.Resized(container_id=C))
    config = story.state.containers[C].config
    assert config.resources == Resources.scalars({"cpus": 2000, "mem": 1_000_000})
    assert config.limits == ResourceLimits(swap_bytes=5, pids_count=9)


def test_the_master_is_told_of_growth_at_once_and_of_what_became_of_it() -> None:
    story = Story()
    story.tell(events.MasterConnected())
    story.run()
    assert effects.SendStandalone(resources=ONE_MORE) in resize(story)
    assert effects.SendStandalone(resources=made.ONE) in story.tell(events.Resized(container_id=C, error=REFUSED))


@pytest.mark.parametrize(
    ("resources", "error", "words"),
    [
        (Resources.scalars({"cpus": 9000}), ResourcesExhausted, "cpus:8 more was asked for, cpus:3;mem:3000 is free"),
        (Resources.scalars({"gpus": 1000}), ResourcesExhausted, "gpus:1 more"),
        (parse_resources("ports:[1-2]"), InvalidRequest, "only amounts"),
    ],
)
def test_what_cannot_be_is_refused_at_once(resources: Resources, error: type[PaddockError], words: str) -> None:
    story = Story()
    story.run()
    found = resize(story, resources)
    assert kinds(found) == ["Answer"]
    refusal = answer(found).error
    assert isinstance(refusal, error)
    assert words in str(refusal)
    assert story.state.free == made.TOTAL - made.ONE


def test_only_what_runs_is_resized_and_one_size_at_a_time() -> None:
    story = Story()
    assert isinstance(answer(resize(story)).error, NotFound)
    story.launch()
    assert isinstance(answer(resize(story)).error, InvalidTransition)
    story.tell(events.Prepared(container_id=C))
    story.start()
    resize(story)
    second = answer(resize(story)).error
    assert isinstance(second, Unavailable)
    assert "uid:0" in str(second)
    story.tell(events.Resized(container_id=C))
    assert kinds(resize(story)) == ["Checkpoint", "Resize"]


def test_a_tasks_limits_change_and_its_resources_do_not() -> None:
    story = Story()
    story.run_task()
    refusal = answer(resize(story)).error
    assert isinstance(refusal, InvalidRequest)
    assert "1 in its master's accounts: ask the master" in str(refusal)
    found = resize(story, made.ONE, ResourceLimits(memory_bytes=2**31))
    assert kinds(found) == ["Checkpoint", "Resize"]  # the same again is no change, and the master need not know
    story.tell(events.Resized(container_id=C))
    assert story.state.containers[C].config.limits == ResourceLimits(memory_bytes=2**31)
    assert story.state.free == made.TOTAL - made.ONE


def resize_task(story: Story, resources: Resources) -> tuple[Effect, ...]:
    return story.tell(
        events.ResizeTask(
            framework_id=made.FRAMEWORK.framework_id, task_id=TaskId("t1"), resources=resources, by="the framework"
        )
    )


def running_task() -> Story:
    story = Story()
    story.run_task()
    story.acknowledge()
    return story


def told_master(found: tuple[Effect, ...]) -> list[tuple[Resources, str]]:
    return [(each.resources, each.error) for each in found if isinstance(each, effects.SendTaskResized)]


def test_a_task_grows_as_its_master_says_and_master_and_framework_hear_of_it() -> None:
    story = running_task()
    assert kinds(resize_task(story, ONE_MORE)) == ["Checkpoint", "Resize"]
    assert recovery.registration(story.state).tasks[0].resizing == ONE_MORE
    assert resize_task(story, ONE_MORE) == ()
    found = story.tell(events.Resized(container_id=C))
    assert isinstance(entries(found)[0], ContainerResized)
    assert told_master(found) == [(ONE_MORE, "")]
    (sent,) = statuses(found)
    assert (sent.status.state, sent.status.reason) == (TaskState.RUNNING, Reason.TASK_RESIZED)
    assert sent.status.message == "the task has cpus:2;mem:2000 now"
    for state in (story.state, restored(story)):
        (task,) = recovery.registration(state).tasks
        assert (task.task.resources, task.resizing) == (ONE_MORE, Resources())
        assert state.free == made.TOTAL - ONE_MORE
    # Its outcome may have been lost: said again, to the master only.
    assert told_master(resize_task(story, ONE_MORE)) == [(ONE_MORE, "")]


def restored(story: Story) -> AgentState:
    state = made.state()
    recovery.restore(state, recovery.snapshot(story.state))
    return state


def test_what_the_kernel_refuses_leaves_a_task_as_it_was_and_is_told() -> None:
    story = running_task()
    resize_task(story, ONE_MORE)
    found = story.tell(events.Resized(container_id=C, error=REFUSED))
    assert told_master(found) == [(made.ONE, str(REFUSED))]
    (sent,) = statuses(found)
    assert sent.status.reason == Reason.CONTAINER_UPDATE_FAILED
    assert "still has cpus:1;mem:1000" in sent.status.message
    assert story.state.free == made.TOTAL - made.ONE


def test_a_task_that_cannot_grow_is_answered_at_once() -> None:
    story = running_task()
    story.run("c2")
    found = resize_task(story, Resources.scalars({"cpus": 4000, "mem": 1_000_000}))
    ((resources, error),) = told_master(found)
    assert resources == made.ONE
    assert "cpus:3 more was asked for, cpus:2;mem:2000 is free here" in error
    assert statuses(found)[0].status.reason == Reason.CONTAINER_UPDATE_FAILED
    story.tell(
        events.KillTask(framework_id=made.FRAMEWORK.framework_id, task_id=TaskId("t1"), policy=None, by="somebody")
    )
    ((_, error),) = told_master(resize_task(story, ONE_MORE))
    assert "DESTROYING" in error
    assert resize_task(Story(), ONE_MORE) == ()


def limits_told(found: tuple[Effect, ...]) -> list[ResourceLimits]:
    return [each.limits for each in found if isinstance(each, effects.SendTaskResized)]


@pytest.mark.parametrize("error", [None, REFUSED])
def test_a_tasks_new_limits_alone_are_its_masters_business_when_they_are_in_force(error: PaddockError | None) -> None:
    story = running_task()
    resize(story, made.ONE, ResourceLimits(pids_count=9))
    found = story.tell(events.Resized(container_id=C, error=error))
    now = ResourceLimits() if error else ResourceLimits(pids_count=9)
    assert limits_told(found) == ([] if error else [now])
    assert statuses(found) == []
    # What was asked for stays what was asked for, over a restart too.
    for state in (story.state, restored(story)):
        (task,) = recovery.registration(state).tasks
        assert (task.task.limits, task.limits) == (ResourceLimits(), now)


def test_limits_that_came_into_force_while_a_registration_was_on_its_way_are_told_after_it() -> None:
    story = running_task()
    story.tell(events.MasterDisconnected())
    resize(story, made.ONE, ResourceLimits(pids_count=9))
    assert limits_told(story.tell(events.Resized(container_id=C))) == []
    assert limits_told(story.tell(events.MasterConnected())) == [ResourceLimits(pids_count=9)]
    story.tell(events.MasterDisconnected())
    assert limits_told(story.tell(events.MasterConnected())) == []


def test_whoever_waits_is_told_when_the_container_ends_first() -> None:
    story = Story()
    story.run()
    resize(story)
    found = story.tell(events.Ended(container_id=C, record=made.record("c1")))
    assert isinstance(answer(found).error, Unavailable)
    story.tell(events.Concluded(container_id=C, evidence=Evidence()))
    assert story.state.free == made.TOTAL
    assert not story.state.standalone
    assert story.tell(events.Resized(container_id=C)) == ()


def test_a_kill_meanwhile_is_a_kill() -> None:
    story = Story()
    story.run()
    resize(story)
    story.tell(events.KillContainer(request_id=8, container_id=C, policy=KillPolicy(), by="x"))
    found = story.tell(events.Resized(container_id=C))
    assert answer(found).error is None
    assert story.state.containers[C].state is ContainerState.DESTROYING


def test_an_agent_that_died_in_between_tries_again() -> None:
    story = Story()
    story.run()
    log = [*recovery.snapshot(story.state)]
    log += [entry for entry in entries(resize(story)) if isinstance(entry, ContainerResizing)]
    for survived in (log, recovery.snapshot(story.state)):
        state = made.state()
        recovery.restore(state, survived)
        assert state.free == story.state.free
        story_after = Story()
        story_after.machine, story_after.state = Machine(state, new_uuid=made.Uuids()), state
        story_after.start()
        found = story_after.tell(events.RecoveryEnded())
        (again,) = [effect for effect in found if isinstance(effect, effects.Resize)]
        assert again.config.resources == ONE_MORE
        assert kinds(story_after.tell(events.Resized(container_id=C))) == ["Checkpoint", "Publish"]  # nobody waits
        assert state.containers[C].config.resources == ONE_MORE
