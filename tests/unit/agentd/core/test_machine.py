"""The machine, told stories: what comes out, in which order, and what is durable before it."""

from dataclasses import replace

from agentd.core import effects, events, recovery
from agentd.core.durable import ContainerEnded, ContainerLaunched, ContainerStopping, StatusQueued
from agentd.core.effects import Checkpoint, Effect
from agentd.core.ending import KILL_OVERDUE_NS
from agentd.core.exit_record import KillOutcome
from agentd.core.machine import Machine
from agentd.core.status_updates import PENDING_LIMIT_COUNT, RETRY_FIRST_NS
from paddock.model.container import ContainerState
from paddock.model.errors import AlreadyExists, InvalidRequest, NotFound, ResourcesExhausted
from paddock.model.ids import ContainerId, FrameworkId, TaskId
from paddock.model.resources import Reservation, Resources
from paddock.model.statistics import Limitation
from paddock.model.task import Evidence, KillPolicy, LaunchFailure, Reason, TaskState
from tests.unit.agentd.core import made

C = ContainerId("c1")
F = made.FRAMEWORK.framework_id
T = TaskId("t1")
NOW_NS = 1000


class Story:
    """A machine and everything that came out of it."""

    def __init__(self, *, ended_limit_count: int = 1000) -> None:
        self.machine: Machine = made.machine(ended_limit_count=ended_limit_count)
        self.state = self.machine.state
        self.now_ns = NOW_NS

    def tell(self, event: events.Event) -> tuple[Effect, ...]:
        return self.machine.handle(event, now_ns=self.now_ns, wall_ns=self.now_ns + 10**18)

    def launch(self, container_id: str = "c1", request_id: int = 1) -> tuple[Effect, ...]:
        return self.tell(events.LaunchStandalone(request_id=request_id, config=made.config(container_id)))

    def run(self, container_id: str = "c1") -> None:
        self.launch(container_id)
        self.tell(events.Prepared(container_id=ContainerId(container_id)))
        self.start(container_id)

    def start(self, container_id: str = "c1") -> tuple[Effect, ...]:
        return self.tell(
            events.Started(
                container_id=ContainerId(container_id), pid=100, shim_pid=99, started_ns=5, cgroup_paths=("/cg",)
            )
        )

    def launch_task(self, task_id: str = "t1", container_id: str = "c1") -> tuple[Effect, ...]:
        launch = events.TaskLaunch(task=made.task(task_id), config=made.config(container_id, task_id=task_id))
        return self.tell(events.LaunchTasks(framework=made.FRAMEWORK, launches=(launch,)))

    def run_task(self) -> None:
        self.tell(events.MasterConnected())
        self.launch_task()
        self.tell(events.Prepared(container_id=C))
        self.start()

    def end(self, wait_status: int = 0, kill: KillOutcome | None = None) -> tuple[Effect, ...]:
        self.tell(events.Ended(container_id=C, record=made.record("c1", wait_status=wait_status, kill=kill)))
        return self.tell(events.Concluded(container_id=C, evidence=Evidence()))

    def acknowledge(self) -> tuple[Effect, ...]:
        head = self.state.tasks[F, T].stream.head
        assert head is not None
        return self.tell(events.AcknowledgeStatus(framework_id=F, task_id=T, uuid=head.uuid))


def kinds(found: tuple[Effect, ...]) -> list[str]:
    return [type(effect).__name__ for effect in found]


def entries(found: tuple[Effect, ...]) -> list[object]:
    return [effect.entry for effect in found if isinstance(effect, Checkpoint)]


def statuses(found: tuple[Effect, ...]) -> list[effects.SendStatus]:
    return [effect for effect in found if isinstance(effect, effects.SendStatus)]


def answer(found: tuple[Effect, ...]) -> effects.Answer:
    (only,) = [effect for effect in found if isinstance(effect, effects.Answer)]
    return only


def test_a_launch_is_durable_before_anything_is_visible() -> None:
    story = Story()
    assert kinds(story.launch()) == ["Checkpoint", "Prepare", "Publish"]
    assert kinds(story.tell(events.Prepared(container_id=C))) == ["Answer", "Launch", "Publish"]
    assert kinds(story.start()) == ["Watch", "Publish"]
    assert story.state.containers[C].state is ContainerState.RUNNING


def test_a_standalone_end_is_told_at_once_and_written_at_leisure() -> None:
    story = Story()
    story.run()
    assert kinds(story.tell(events.Ended(container_id=C, record=made.record("c1")))) == ["Conclude", "Publish"]
    found = story.tell(events.Concluded(container_id=C, evidence=Evidence()))
    assert kinds(found) == ["Checkpoint", "Publish", "Discard"]
    first = found[0]
    assert isinstance(first, Checkpoint)
    assert first.relaxed
    assert story.state.free == made.TOTAL


def test_a_tasks_end_is_durable_before_it_is_told() -> None:
    story = Story()
    story.run_task()
    story.acknowledge()
    found = story.end()
    assert isinstance(entries(found)[0], ContainerEnded)
    assert not any(effect.relaxed for effect in found if isinstance(effect, Checkpoint))
    order = kinds(found)
    assert order.index("SendStatus") > max(i for i, kind in enumerate(order) if kind == "Checkpoint")
    assert statuses(found)[0].status.state is TaskState.FINISHED


def test_admission_counts_every_milli_unit() -> None:
    story = Story()
    for number in range(4):
        story.launch(f"c{number}")
    refused = answer(story.launch("c9"))
    assert isinstance(refused.error, ResourcesExhausted)
    assert "cpus:1" in str(refused.error)
    assert ContainerId("c9") not in story.state.containers


def test_an_id_that_was_used_is_refused() -> None:
    story = Story()
    story.launch()
    assert isinstance(answer(story.launch()).error, AlreadyExists)


def test_a_refused_preparation_answers_and_frees() -> None:
    story = Story()
    story.launch()
    error = InvalidRequest("resources[1].mem", 1, "use at least 32 MiB")
    failure = LaunchFailure(stage="prepare", message=str(error))
    found = story.tell(events.PrepareRefused(container_id=C, failure=failure, error=error))
    assert answer(found).error is error
    found = story.tell(events.Concluded(container_id=C, evidence=Evidence()))
    termination = story.state.containers[C].termination
    assert termination is not None
    assert termination.reason == Reason.CONTAINER_LAUNCH_FAILED
    assert "Discard" not in kinds(found)
    assert story.state.free == made.TOTAL


def test_a_kill_during_preparation_launches_nothing() -> None:
    story = Story()
    story.launch()
    found = story.tell(events.KillContainer(request_id=2, container_id=C, policy=None, by="uid:0"))
    assert "Kill" not in kinds(found)
    found = story.tell(events.Prepared(container_id=C))
    assert "Launch" not in kinds(found)
    (conclude,) = [effect for effect in found if isinstance(effect, effects.Conclude)]
    assert not conclude.launched
    story.tell(events.Concluded(container_id=C, evidence=Evidence()))
    termination = story.state.containers[C].termination
    assert termination is not None
    assert termination.reason == Reason.TASK_KILLED_DURING_LAUNCH


def test_a_kill_is_durable_before_it_is_sent_and_the_first_cause_stays() -> None:
    story = Story()
    story.run()
    policy = KillPolicy(signal=2, grace_period_ms=100)
    found = story.tell(events.KillContainer(request_id=2, container_id=C, policy=policy, by="uid:0"))
    assert kinds(found) == ["Checkpoint", "Kill", "WakeAt", "Publish", "Answer"]
    found = story.tell(events.KillContainer(request_id=3, container_id=C, policy=KillPolicy(), by="uid:7"))
    assert "Checkpoint" not in kinds(found)
    stopping = story.state.containers[C].stopping
    assert stopping == ContainerStopping(container_id=C, policy=policy, by="uid:0")


def test_a_kill_of_nobody_and_of_the_dead() -> None:
    story = Story()
    found = story.tell(events.KillContainer(request_id=1, container_id=C, policy=None, by=""))
    assert isinstance(answer(found).error, NotFound)
    story.run()
    story.end()
    found = story.tell(events.KillContainer(request_id=2, container_id=C, policy=None, by=""))
    assert answer(found).error is None
    assert kinds(found) == ["Answer"]


def test_a_kill_without_an_end_is_shown_as_stuck_and_tried_again() -> None:
    story = Story()
    story.run()
    story.tell(events.KillContainer(request_id=1, container_id=C, policy=KillPolicy(grace_period_ms=0), by=""))
    story.now_ns += KILL_OVERDUE_NS
    found = story.tell(events.TimePassed())
    container = story.state.containers[C]
    assert container.state is ContainerState.STUCK
    assert "uninterruptible" in container.stuck
    assert kinds(found)[-2:] == ["Kill", "FindHolders"]
    assert isinstance(found[0], effects.WakeAt)
    story.tell(events.HoldersFound(container_id=C, what="process 100 waits in request_wait_answer"))
    assert container.stuck.endswith(": process 100 waits in request_wait_answer")
    found = story.end(9, KillOutcome(signal=15, grace_ms=0, escalated=True, took_ms=10_000))
    assert story.state.containers[C].state is ContainerState.TERMINATED
    assert not story.state.containers[C].stuck


def test_who_was_found_in_one_that_is_not_stuck_is_not_shown() -> None:
    story = Story()
    story.run()
    assert story.tell(events.HoldersFound(container_id=C, what="process 100")) == ()
    story.tell(events.Held(container_id=C, what="rmdir: EBUSY"))
    story.tell(events.Ended(container_id=C, record=made.record("c1")))
    assert story.tell(events.HoldersFound(container_id=C, what="process 100")) == ()
    assert story.state.containers[C].stuck == "rmdir: EBUSY"


def test_what_the_kernel_holds_is_tried_again_with_growing_pauses() -> None:
    story = Story()
    story.run()
    story.tell(events.Ended(container_id=C, record=made.record("c1")))
    pauses = []
    for _ in range(8):
        (wake,) = [
            e for e in story.tell(events.Held(container_id=C, what="rmdir: EBUSY")) if isinstance(e, effects.WakeAt)
        ]
        pauses.append((wake.at_ns - story.now_ns) // 10**9)
        story.now_ns = wake.at_ns
        assert "Conclude" in kinds(story.tell(events.TimePassed()))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    story.tell(events.Concluded(container_id=C, evidence=Evidence()))
    assert story.state.containers[C].is_ended


def test_a_child_killed_for_memory_is_told_at_once_and_ends_nothing() -> None:
    story = Story()
    story.run_task()
    story.acknowledge()
    limitation = Limitation(
        container_id=C, isolator="cgroups/mem", reason=Reason.CONTAINER_LIMITATION_MEMORY, message="oom", fatal=False
    )
    found = story.tell(events.Limited(limitation=limitation, evidence=Evidence()))
    (sent,) = statuses(found)
    assert (sent.status.state, sent.status.reason) == (TaskState.RUNNING, Reason.CONTAINER_LIMITATION_MEMORY)
    assert story.state.containers[C].state is ContainerState.RUNNING


def test_a_fatal_limit_ends_it_and_is_the_cause() -> None:
    story = Story()
    story.run_task()
    limitation = Limitation(
        container_id=C, isolator="disk/du", reason=Reason.CONTAINER_LIMITATION_DISK, message="full", fatal=True
    )
    found = story.tell(events.Limited(limitation=limitation, evidence=Evidence()))
    assert "Kill" in kinds(found)
    story.end(15, KillOutcome(signal=15, grace_ms=3000, escalated=False, took_ms=1))
    assert story.state.tasks[F, T].state is TaskState.FAILED
    assert story.state.tasks[F, T].statuses[-1].reason == Reason.CONTAINER_LIMITATION_DISK


def test_one_status_in_flight_and_the_next_after_the_acknowledgement() -> None:
    story = Story()
    story.run_task()
    assert not statuses(story.end())
    found = story.acknowledge()
    assert [sent.status.state for sent in statuses(found)] == [TaskState.FINISHED]
    assert (F, T) in story.state.tasks
    story.acknowledge()
    assert not story.state.tasks
    assert not story.state.frameworks


def test_a_wrong_or_late_acknowledgement_means_nothing() -> None:
    story = Story()
    story.run_task()
    head = story.state.tasks[F, T].stream.head
    assert head is not None
    assert not story.tell(events.AcknowledgeStatus(framework_id=F, task_id=T, uuid=b"x" * 16))
    story.acknowledge()
    assert not story.tell(events.AcknowledgeStatus(framework_id=F, task_id=T, uuid=head.uuid))
    assert not story.tell(events.AcknowledgeStatus(framework_id=F, task_id=TaskId("other"), uuid=head.uuid))


def test_statuses_wait_for_the_master_and_are_repeated() -> None:
    story = Story()
    story.launch_task()
    story.tell(events.Prepared(container_id=C))
    assert not statuses(story.start())
    (first,) = statuses(story.tell(events.MasterConnected()))
    story.now_ns += RETRY_FIRST_NS
    (second,) = statuses(story.tell(events.TimePassed()))
    assert second == first
    story.tell(events.MasterDisconnected())
    story.now_ns += RETRY_FIRST_NS * 10
    assert not statuses(story.tell(events.TimePassed()))
    (third,) = statuses(story.tell(events.MasterConnected()))
    assert third.status.uuid == first.status.uuid


def test_a_master_that_is_away_for_long_costs_a_bounded_log_and_no_state() -> None:
    story = Story()
    story.run_task()
    story.tell(events.MasterDisconnected())
    limitation = Limitation(
        container_id=C, isolator="x", reason=Reason.CONTAINER_LIMITATION_MEMORY, message="m", fatal=False
    )
    for _ in range(3 * PENDING_LIMIT_COUNT):
        story.tell(events.Limited(limitation=limitation, evidence=Evidence()))
    kill = events.KillTask(framework_id=F, task_id=T, policy=None)
    story.tell(kill)
    for _ in range(3 * PENDING_LIMIT_COUNT):
        story.tell(events.Limited(limitation=limitation, evidence=Evidence()))
    entries_of_a_snapshot = recovery.snapshot(story.state)
    assert sum(isinstance(entry, StatusQueued) for entry in entries_of_a_snapshot) <= PENDING_LIMIT_COUNT + 1
    restored = made.state()
    recovery.restore(restored, entries_of_a_snapshot)
    assert restored.tasks[F, T].stream.pending == story.state.tasks[F, T].stream.pending
    assert restored.tasks[F, T].state is TaskState.KILLING
    story.end(15, KillOutcome(signal=15, grace_ms=3000, escalated=False, took_ms=1))
    story.tell(events.MasterConnected())
    told = []
    while (F, T) in story.state.tasks:
        head = story.state.tasks[F, T].stream.head
        assert head is not None
        told.append(head.state)
        story.acknowledge()
    assert list(dict.fromkeys(told)) == [TaskState.RUNNING, TaskState.KILLING, TaskState.KILLED]
    assert len(told) == PENDING_LIMIT_COUNT


def test_a_task_that_no_longer_fits_is_given_back_and_the_others_run() -> None:
    story = Story()
    for number in range(3):
        story.launch(f"s{number}")
    launches = tuple(
        events.TaskLaunch(task=made.task(f"t{n}"), config=made.config(f"c{n}", task_id=f"t{n}")) for n in (1, 2)
    )
    found = story.tell(events.LaunchTasks(framework=made.FRAMEWORK, launches=launches))
    (refused,) = [effect for effect in found if isinstance(effect, effects.SendLaunchRefused)]
    assert (refused.task_ids, refused.reason) == (("t2",), Reason.RESOURCES_UNKNOWN)
    assert "t2" in refused.message
    assert [task_id for _, task_id in story.state.tasks] == ["t1"]


def test_what_was_reserved_at_run_time_is_taken_off_what_the_agent_was_configured_with() -> None:
    story = Story()
    reserved = Resources.of(
        replace(each, reservations=(Reservation(role="r", dynamic=True),), allocation_role="r") for each in made.ONE
    )
    config = replace(made.config("c1", task_id="t1"), resources=reserved)
    launch = events.TaskLaunch(task=made.task("t1", resources=reserved), config=config)
    story.tell(events.LaunchTasks(framework=made.FRAMEWORK, launches=(launch,)))
    assert story.state.free == made.TOTAL - made.ONE
    story.tell(events.Prepared(container_id=C))
    story.start()
    story.end()
    assert story.state.free == made.TOTAL


def test_a_launch_that_comes_twice_is_one() -> None:
    story = Story()
    story.launch_task()
    assert not story.launch_task(container_id="c2")
    assert len(story.state.containers) == 1


def test_a_task_without_a_user_fails_and_says_so() -> None:
    story = Story()
    story.tell(events.MasterConnected())
    problem = LaunchFailure(stage="user", message="no such user")
    launch = events.TaskLaunch(task=made.task("t1"), config=None, problem=problem)
    found = story.tell(events.LaunchTasks(framework=made.FRAMEWORK, launches=(launch,)))
    (sent,) = statuses(found)
    assert (sent.status.state, sent.status.reason) == (TaskState.FAILED, Reason.CONTAINER_LAUNCH_FAILED)
    assert "no such user" in sent.status.message
    story.acknowledge()
    assert not story.state.tasks


def test_killing_is_told_to_those_who_want_it() -> None:
    story = Story()
    story.run_task()
    found = story.tell(events.KillTask(framework_id=F, task_id=T, policy=None))
    assert [e.status.state for e in entries(found) if isinstance(e, StatusQueued)] == [TaskState.KILLING]
    story.end(15, KillOutcome(signal=15, grace_ms=3000, escalated=False, took_ms=1))
    assert story.state.tasks[F, T].state is TaskState.KILLED


def test_a_launch_that_takes_its_time_says_how_far_it_is_until_it_runs_or_is_to_end() -> None:
    story = Story()
    story.tell(events.MasterConnected())
    story.launch_task()
    progress = events.LaunchProgressed(container_id=C, message="image x is being pulled: 1 of 3 layers")
    story.tell(progress)
    task = story.state.tasks[F, T]
    assert (task.state, task.statuses[-1].message) == (TaskState.STARTING, progress.message)
    assert task.statuses[-1].reason == Reason.IMAGE_PULLING
    story.tell(events.KillTask(framework_id=F, task_id=T, policy=None))
    count = len(task.statuses)
    story.tell(progress)
    assert len(task.statuses) == count


def test_reconciliation_always_answers() -> None:
    story = Story()
    story.tell(events.MasterConnected())
    (unknown,) = statuses(story.tell(events.ReconcileTask(framework_id=F, task_id=T)))
    assert (unknown.status.state, unknown.status.reason, unknown.status.uuid) == (
        TaskState.DROPPED,
        Reason.RECONCILIATION,
        b"",
    )
    story.launch_task()
    (staging,) = statuses(story.tell(events.ReconcileTask(framework_id=F, task_id=T)))
    assert staging.status.state is TaskState.STAGING
    assert statuses(story.tell(events.KillTask(framework_id=FrameworkId("f2"), task_id=T, policy=None)))


def test_a_removed_frameworks_tasks_are_killed_and_the_master_is_told() -> None:
    story = Story()
    story.run_task()
    found = story.tell(events.RemoveFramework(framework_id=F))
    assert "Kill" in kinds(found)
    story.end(15, KillOutcome(signal=15, grace_ms=3000, escalated=False, took_ms=1))
    assert story.state.free == made.TOTAL
    told = [statuses(story.acknowledge())[0].status.state for _ in range(2)]
    assert told == [TaskState.KILLING, TaskState.KILLED]
    story.acknowledge()
    assert not story.state.tasks
    assert not story.state.frameworks


def test_a_removed_framework_without_tasks_is_forgotten_at_once() -> None:
    story = Story()
    story.run_task()
    story.acknowledge()
    story.end()
    story.acknowledge()
    story.tell(events.RemoveFramework(framework_id=F))
    assert not story.state.frameworks


def test_the_oldest_ended_make_room() -> None:
    story = Story(ended_limit_count=1)
    story.run()
    story.end()
    story.launch("c2")
    story.tell(events.Prepared(container_id=ContainerId("c2")))
    story.tell(events.Ended(container_id=ContainerId("c2"), record=made.record("c2")))
    story.tell(events.Concluded(container_id=ContainerId("c2"), evidence=Evidence()))
    assert list(story.state.containers) == ["c2"]


def test_the_master_hears_of_standalone_containers() -> None:
    story = Story()
    story.tell(events.MasterConnected())
    (sent,) = [e for e in story.launch() if isinstance(e, effects.SendStandalone)]
    assert sent.resources == made.ONE
    story.tell(events.Prepared(container_id=C))
    (sent,) = [e for e in story.end() if isinstance(e, effects.SendStandalone)]
    assert sent.resources == Resources()


def test_late_words_about_the_dead_change_nothing() -> None:
    story = Story()
    story.run()
    story.end()
    for event in (
        events.Ended(container_id=C, record=made.record("c1")),
        events.Held(container_id=C, what="x"),
        events.HoldersFound(container_id=C, what="x"),
        events.Concluded(container_id=C, evidence=Evidence()),
        events.LaunchFailed(container_id=C, failure=LaunchFailure(stage="exec", message="x")),
    ):
        assert story.tell(event) == ()
    assert story.start() == ()


def test_the_entry_of_a_launch_has_the_whole_configuration() -> None:
    (entry,) = entries(Story().launch())
    assert entry == ContainerLaunched(config=made.config("c1"), created_ns=NOW_NS + 10**18, boot_id=made.BOOT)
