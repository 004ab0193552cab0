"""An engine that does not answer stands in the statuses of the tasks that it runs, once, and its return too."""

from dataclasses import replace

from agentd.core import effects, events
from paddock.model.docker import DockerInfo
from paddock.model.image import parse_image
from paddock.model.task import ContainerInfo, ContainerType, Reason, TaskState
from tests.unit.agentd.core import made
from tests.unit.agentd.core.test_machine import C, F, Story, T, statuses

GONE = events.EngineChanged(reachable=False, words="docker engine unresponsive since 2026-11-26T09:00:00Z: no answer")
BACK = events.EngineChanged(reachable=True, words="docker engine 20.10 answers since 2026-11-26T09:01:00Z")


class OfDocker(Story):
    """One task of an engine's, and one native one. The first of them is accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.tell(events.MasterConnected())
        info = ContainerInfo(type=ContainerType.DOCKER, docker=DockerInfo(image=parse_image("busybox:1")))
        config = replace(made.config("c1", task_id="t1"), container=info)
        launch = events.TaskLaunch(task=replace(made.task("t1"), container=info), config=config)
        self.tell(events.LaunchTasks(framework=made.FRAMEWORK, launches=(launch,)))
        self.launch_task("t2", "c2")

    def told(self, event: events.EngineChanged) -> list[effects.SendStatus]:
        found = statuses(self.tell(event))
        for _ in found:
            self.acknowledge()
        return found

    def run_engine_task(self) -> None:
        self.tell(events.Prepared(container_id=C))
        self.start()
        while self.state.tasks[F, T].stream.head is not None:
            self.acknowledge()


def test_it_is_told_once_of_each_way_and_only_to_the_engines_own() -> None:
    story = OfDocker()
    assert story.told(GONE) == [], "nothing runs yet"
    story.run_engine_task()
    assert story.told(BACK) == [], "it has started it, so it answered"
    for event, reason in ((GONE, Reason.ENGINE_UNRESPONSIVE), (BACK, Reason.ENGINE_RESPONSIVE)) * 2:
        (sent,) = story.told(event)
        assert (sent.status.task_id, sent.status.state, sent.status.reason) == (T, TaskState.RUNNING, reason)
        assert sent.status.message == event.words
        assert story.told(event) == []


def test_who_is_being_ended_is_told_nothing_more() -> None:
    story = OfDocker()
    story.run_engine_task()
    story.tell(events.KillTask(framework_id=F, task_id=T, policy=None))
    count = len(story.state.tasks[F, T].statuses)
    story.tell(GONE)
    assert len(story.state.tasks[F, T].statuses) == count
