"""A command that wants something fetched: what comes when, and what a kill in the middle means."""

from agentd.core import effects, events
from agentd.core.effects import Checkpoint, Effect
from agentd.core.machine import Machine
from paddock.model.container import ContainerState
from paddock.model.ids import ContainerId, TaskId
from paddock.model.task import Evidence, KillPolicy, LaunchFailure, Reason, TaskState
from paddock.model.uri import CommandUri
from tests.unit.agentd.core import made

C = ContainerId("c1")
URIS = (CommandUri(value="http://example.com/x"),)
FAILURE = LaunchFailure(stage="fetch", message="http://example.com/x: the server answered 404 Not Found")


def tell(machine: Machine, event: events.Event) -> tuple[Effect, ...]:
    return machine.handle(event, now_ns=1, wall_ns=2)


def fetching() -> Machine:
    machine = made.machine()
    tell(machine, events.MasterConnected())
    launch = events.TaskLaunch(task=made.task("t1"), config=made.config("c1", task_id="t1", uris=URIS))
    tell(machine, events.LaunchTasks(framework=made.FRAMEWORK, launches=(launch,)))
    wanted = tell(machine, events.Prepared(container_id=C))
    assert [type(each) for each in wanted] == [effects.Fetch, effects.Publish]
    assert machine.state.containers[C].state is ContainerState.FETCHING
    return machine


def last_word(machine: Machine) -> tuple[TaskState, int, str]:
    tell(machine, events.Concluded(container_id=C, evidence=Evidence()))
    status = machine.state.tasks[made.FRAMEWORK.framework_id, TaskId("t1")].statuses[-1]
    return status.state, status.reason, status.message


def test_what_is_fetched_is_launched() -> None:
    machine = fetching()
    wanted = tell(machine, events.Fetched(container_id=C))
    assert [type(each) for each in wanted] == [effects.Launch, effects.Publish]
    assert tell(machine, events.Fetched(container_id=C)) == ()


def test_what_cannot_be_fetched_is_a_failed_launch_at_that_stage() -> None:
    machine = fetching()
    wanted = tell(machine, events.Fetched(container_id=C, failure=FAILURE))
    assert any(isinstance(each, effects.Conclude) and not each.launched for each in wanted)
    state, reason, message = last_word(machine)
    assert (state, reason) == (TaskState.FAILED, Reason.CONTAINER_LAUNCH_FAILED)
    assert message == f"the launch stopped at fetch: {FAILURE.message}"


def test_a_kill_ends_the_fetch_and_is_the_cause() -> None:
    machine = fetching()
    wanted = tell(machine, events.KillContainer(request_id=1, container_id=C, policy=KillPolicy(), by="uid 0"))
    # Durable before the fetch is ended: after a crash in between the kill is still known.
    kinds = [type(each) for each in wanted]
    assert kinds.index(Checkpoint) < kinds.index(effects.CancelFetch)
    # Nothing is cleaned up while the fetch may still write.
    assert effects.Conclude not in kinds
    wanted = tell(machine, events.Fetched(container_id=C, failure=FAILURE))
    assert any(isinstance(each, effects.Conclude) for each in wanted)
    state, reason, message = last_word(machine)
    assert (state, reason) == (TaskState.KILLED, Reason.TASK_KILLED_DURING_LAUNCH)
    assert "killed during its launch on request of uid 0" in message


def test_a_kill_that_comes_as_the_fetch_ends_well_still_ends_it() -> None:
    machine = fetching()
    tell(machine, events.KillContainer(request_id=1, container_id=C, policy=KillPolicy(), by="uid 0"))
    wanted = tell(machine, events.Fetched(container_id=C))
    assert not any(isinstance(each, effects.Launch) for each in wanted)
    assert last_word(machine)[0] is TaskState.KILLED
