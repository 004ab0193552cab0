"""From a request to a running command: admission, preparation, launch."""

from __future__ import annotations

from dataclasses import dataclass

from agentd.core import ending, health_checks, informing_checks, volumes
from agentd.core.container_states import ContainerInput
from agentd.core.durable import ContainerLaunched, TaskAccepted
from agentd.core.effects import Answer, Fetch, Launch, Prepare, SendLaunchRefused, SendStandalone, Watch
from agentd.core.events import (
    Fetched,
    LaunchFailed,
    LaunchProgressed,
    LaunchStandalone,
    LaunchTasks,
    Prepared,
    PrepareRefused,
    Started,
    TaskLaunch,
)
from agentd.core.state import AgentState, ContainerEntry
from agentd.core.turn import Turn
from paddock.model.container import ContainerConfig, ContainerState
from paddock.model.errors import AlreadyExists, InvalidRequest, PaddockError, ResourcesExhausted, Unavailable
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import ContainerId
from paddock.model.resource_text import format_resources
from paddock.model.resources import Resources
from paddock.model.task import LaunchFailure, Reason, TaskState
from paddock.model.volumes import counted

NO_WORK = "the agent takes no new work"
_NOT_YET = frozenset({TaskState.STAGING, TaskState.STARTING})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lack:
    """What a container asked for and the agent does not have free."""

    asked: Resources
    free: Resources

    def __str__(self) -> str:
        """For the one who asked."""
        return f"{format_resources(self.asked)} was asked for, {format_resources(self.free) or 'nothing'} is free here"


def _lack(state: AgentState, asked: Resources) -> _Lack | None:
    taken = counted(asked)
    return None if state.free.contains(taken) else _Lack(asked=taken, free=state.free)


def no_work(state: AgentState) -> str:
    """Why a launch is refused, while nothing can be made durable."""
    return f"{NO_WORK}: {state.problem}"


def launch_standalone(turn: Turn, event: LaunchStandalone) -> None:
    """Answered at once when it is refused; else when it is durable and every isolator agreed."""
    if turn.state.problem:
        error = Unavailable(no_work(turn.state))
        turn.effects.append(Answer(request_id=event.request_id, error=error, at_once=True))
        return
    problem = _refusal(turn.state, event.config)
    if problem is not None:
        turn.effects.append(Answer(request_id=event.request_id, error=problem))
        return
    _begin(turn, event.config).request_id = event.request_id
    if turn.state.connected:
        turn.effects.append(SendStandalone(resources=turn.state.standalone))


def _refusal(state: AgentState, config: ContainerConfig) -> PaddockError | None:
    if config.container_id in state.containers:
        return AlreadyExists(
            "container", config.container_id, "name another container_id, or leave it empty to be given one"
        )
    for index, resource in enumerate(config.resources):
        if resource.volume is not None:
            remedy = "volumes are given to tasks, by the master's offers; leave it out"
            return InvalidRequest(f"resources[{index}].volume", resource.volume.persistence_id, remedy)
    lack = _lack(state, config.resources)
    if lack is not None:
        return ResourcesExhausted(f"{lack}; ask for less, or end something")
    return None


def _begin(turn: Turn, config: ContainerConfig) -> ContainerEntry:
    turn.commit(ContainerLaunched(config=config, created_ns=turn.wall_ns, boot_id=turn.state.boot_id))
    container = turn.state.containers[config.container_id]
    turn.effects.append(Prepare(config=config))
    turn.publish(container)
    return container


def launch_tasks(turn: Turn, event: LaunchTasks) -> None:
    """Each task by itself: one that does not fit, or cannot have a container or its volumes, does not hinder the next."""
    if turn.state.problem:
        _refuse_all(turn, event)
        return
    refused = []
    lacks = []
    for launch in event.launches:
        if (event.framework.framework_id, launch.task.task_id) in turn.state.tasks:
            continue  # the master says it again after a reconnection
        lack = _task_lack(turn, launch.config.resources) if launch.config else ""
        if lack:
            refused.append(launch.task.task_id)
            lacks.append(f"task {launch.task.task_id}: {lack}")
        else:
            _launch_task(turn, event.framework, launch)
    if refused:
        turn.effects.append(
            SendLaunchRefused(
                framework_id=event.framework.framework_id,
                task_ids=tuple(refused),
                reason=Reason.RESOURCES_UNKNOWN,
                message="; ".join(lacks),
            )
        )


def _task_lack(turn: Turn, resources: Resources) -> str:
    """What is wrong with a volume may have been put right since it was looked at: it is looked at again for the next one."""
    lack = _lack(turn.state, resources)
    if lack is not None:
        return str(lack)
    problem = volumes.find_problem(turn.state, resources)
    if problem:
        volumes.arrange(turn)
    return problem


def _refuse_all(turn: Turn, event: LaunchTasks) -> None:
    framework_id = event.framework.framework_id
    asked = [launch.task.task_id for launch in event.launches]
    turn.effects.append(
        SendLaunchRefused(
            framework_id=framework_id,
            task_ids=tuple(task_id for task_id in asked if (framework_id, task_id) not in turn.state.tasks),
            reason=Reason.AGENT_PROBLEM,
            message=no_work(turn.state),
            at_once=True,
        )
    )


def _launch_task(turn: Turn, framework: FrameworkInfo, launch: TaskLaunch) -> None:
    config = launch.config
    container_id = config.container_id if config else ContainerId("")
    turn.commit(TaskAccepted(framework=framework, task=launch.task, container_id=container_id))
    if config is not None:
        _begin(turn, config)
        return
    failure = launch.problem or LaunchFailure(stage="validate", message="the task cannot have a container")
    task = turn.state.tasks[framework.framework_id, launch.task.task_id]
    turn.tell(
        task,
        TaskState.FAILED,
        reason=Reason.CONTAINER_LAUNCH_FAILED,
        message=f"the launch stopped at {failure.stage}: {failure.message}",
        evidence=ending.failure_evidence(failure),
    )


def prepared(turn: Turn, event: Prepared) -> None:
    """Launch, or fetch first; unless a stop came meanwhile."""
    container = turn.state.containers.get(event.container_id)
    if container is None:
        return
    container.is_prepared = True
    has_uris = bool(container.config.command.uris)
    turn.advance(container, ContainerInput.PREPARED_TO_FETCH if has_uris else ContainerInput.PREPARED)
    _answer(turn, container, None)
    if container.state is ContainerState.DESTROYING:
        ending.conclude(turn, container)
    elif container.state is ContainerState.FETCHING:
        turn.effects.append(Fetch(config=container.config))
        turn.publish(container)
    else:
        _launch(turn, container)


def _launch(turn: Turn, container: ContainerEntry) -> None:
    container.launched = True
    turn.effects.append(Launch(container_id=container.config.container_id))
    turn.publish(container)


def fetched(turn: Turn, event: Fetched) -> None:
    """Launch. A kill has ended the fetch when a stop came meanwhile: its failure is then none of the fetch's."""
    container = turn.state.containers.get(event.container_id)
    if container is None or container.is_ended or container.launched or container.end_known:
        return
    if container.state is ContainerState.FETCHING and event.failure is not None:
        turn.advance(container, ContainerInput.FAILED)
        container.failure = event.failure
    else:
        turn.advance(container, ContainerInput.FETCHED)
    if container.state is ContainerState.LAUNCHING:
        _launch(turn, container)
    else:
        ending.conclude(turn, container)


def progressed(turn: Turn, event: LaunchProgressed) -> None:
    """Told while nothing else is: a stop, or its end, says more. All that takes its time so far is an image."""
    container = turn.state.containers.get(event.container_id)
    task = None if container is None else turn.state.task_of(container.config)
    if container is not None and container.stopping is None and task is not None and task.state in _NOT_YET:
        turn.tell(task, TaskState.STARTING, reason=Reason.IMAGE_PULLING, message=event.message)


def prepare_refused(turn: Turn, event: PrepareRefused) -> None:
    """Nothing was launched; what was planned is forgotten."""
    container = turn.state.containers.get(event.container_id)
    if container is None:
        return
    turn.advance(container, ContainerInput.REFUSED)
    container.failure = event.failure
    _answer(turn, container, event.error)
    ending.conclude(turn, container)


def _answer(turn: Turn, container: ContainerEntry, error: PaddockError | None) -> None:
    if container.request_id:
        turn.effects.append(Answer(request_id=container.request_id, error=error))


def started(turn: Turn, event: Started) -> None:
    """The command exists. A stop that was asked for meanwhile goes on."""
    container = turn.state.containers.get(event.container_id)
    if container is None or container.is_ended or container.end_known:
        return
    was_stuck = container.state is ContainerState.STUCK
    if container.pid == event.pid and not was_stuck:
        return
    turn.advance(container, ContainerInput.STARTED)
    if was_stuck:
        _go_on(turn, container)
    container.pid = event.pid
    container.shim_pid = event.shim_pid
    container.started_ns = event.started_ns
    container.cgroup_paths = event.cgroup_paths
    container.unapplied = event.unapplied
    turn.effects.append(Watch(container_id=event.container_id))
    turn.publish(container)
    task = turn.state.task_of(container.config)
    if task is not None and task.state in _NOT_YET:
        turn.tell(task, TaskState.RUNNING, message="; ".join(event.unapplied))
    health_checks.begin(turn, container)
    informing_checks.begin(turn, container)


def _go_on(turn: Turn, container: ContainerEntry) -> None:
    """Its shim has answered after all. What was wanted of it meanwhile is said again."""
    container.stuck = ""
    container.retry_delay_ns = 0
    container.kill_overdue_ns = None
    if container.stopping is not None:
        ending.stop(turn, container, policy=container.stopping.policy)


def launch_failed(turn: Turn, event: LaunchFailed) -> None:
    """The launcher or the shim took everything back."""
    container = turn.state.containers.get(event.container_id)
    if container is None or container.is_ended or container.end_known:
        return
    turn.advance(container, ContainerInput.FAILED)
    container.failure = event.failure
    ending.conclude(turn, container)
