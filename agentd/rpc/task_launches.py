"""A master's launch as the machine's event: users looked up, containers named, configurations complete."""

from __future__ import annotations

import uuid

from agentd.core.events import LaunchTasks, TaskLaunch
from agentd.rpc.powers import Powers
from agentd.sandbox import sandbox_path
from agentd.shell import Shell
from agentd.users import Users
from paddock.model.container import ContainerConfig, UserIdentity
from paddock.model.docker_task import check_container
from paddock.model.errors import InvalidRequest, PermissionRefused, Unsupported
from paddock.model.framework import FrameworkInfo
from paddock.model.ids import ContainerId
from paddock.model.task import LaunchFailure, LogPolicy, TaskInfo
from paddock.rpc.principal import ROOT_UID
from paddock.wire import convert
from paddock.wire.v1 import agent_registry_service_pb2 as pb

_UID_PREFIX = "uid:"
"""How paddock.rpc.principal writes a caller's uid into FrameworkInfo.principal."""


class TaskLaunches:
    """Whatever is wrong with one task is that task's failure, never the others'."""

    def __init__(self, shell: Shell, users: Users, powers: Powers, work_dir: str, *, log_policy: LogPolicy) -> None:
        """Events go to the shell. `log_policy`: for tasks that name none."""
        self._shell = shell
        self._users = users
        self._powers = powers
        self._work_dir = work_dir
        self._log_policy = log_policy

    async def launch(self, message: pb.LaunchTasks) -> None:
        """Raises InvalidRequest when the message as a whole cannot be read."""
        framework = convert.framework_info_from_wire(message.framework)
        tasks = convert.task_infos_from_wire(message.tasks)
        launches = tuple([await self._one(framework, task) for task in tasks])
        self._shell.post(LaunchTasks(framework=framework, launches=launches))

    async def _one(self, framework: FrameworkInfo, task: TaskInfo) -> TaskLaunch:
        try:
            check_container(task.container, task.command, task.resources)
            caller_uid = _caller_uid(framework)
            self._powers.require(caller_uid, task.container)
        except (InvalidRequest, PermissionRefused, Unsupported) as error:
            return TaskLaunch(task=task, config=None, problem=LaunchFailure(stage="validate", message=str(error)))
        try:
            user = await self._user(framework, task, caller_uid)
        except (InvalidRequest, PermissionRefused) as error:
            problem = LaunchFailure(stage="user", message=str(error), value=task.command.user or framework.user)
            return TaskLaunch(task=task, config=None, problem=problem)
        return TaskLaunch(task=task, config=self._config(framework, task, user))

    async def _user(self, framework: FrameworkInfo, task: TaskInfo, caller_uid: int | None) -> UserIdentity:
        """The one that the task names, else its framework's, else the framework's caller; never silently root."""
        name = task.command.user or framework.user
        if name:
            user = await self._users.by_name(name, "command.user")
        elif caller_uid is not None:
            user = await self._users.by_uid(caller_uid, "framework.principal")
        else:
            raise InvalidRequest("command.user", "", "name a user: the framework's caller is not known here")
        if caller_uid not in {None, ROOT_UID, user.uid}:
            raise PermissionRefused(f"uid {caller_uid} may not run tasks as {user.name}, uid {user.uid}")
        return user

    def _config(self, framework: FrameworkInfo, task: TaskInfo, user: UserIdentity) -> ContainerConfig:
        container_id = ContainerId(uuid.uuid4().hex)
        agent_id = self._shell.state.agent_id
        return ContainerConfig(
            container_id=container_id,
            agent_id=agent_id,
            command=task.command,
            resources=task.resources,
            user=user,
            sandbox=sandbox_path(self._work_dir, agent_id, framework.framework_id, task.task_id, container_id),
            limits=task.limits,
            container=task.container,
            kill_policy=task.kill_policy,
            max_completion_time_ms=task.max_completion_time_ms,
            framework_id=framework.framework_id,
            task_id=task.task_id,
            name=task.name,
            labels=task.labels,
            health_check=task.health_check,
            check=task.check,
            log_policy=task.log_policy.over(self._log_policy),
        )


def _caller_uid(framework: FrameworkInfo) -> int | None:
    """None: the master says nothing that this agent could judge."""
    caller = framework.principal.removeprefix(_UID_PREFIX)
    return int(caller) if framework.principal.startswith(_UID_PREFIX) and caller.isdecimal() else None
