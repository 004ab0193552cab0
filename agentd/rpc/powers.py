"""What an agent carries out for whom: what its operator allows, and for callers other than root nothing beyond their uid."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from agentd.config import Settings
from paddock.launch.plan import RLIMIT_NUMBERS
from paddock.model.docker import DockerInfo
from paddock.model.errors import InvalidRequest, PermissionRefused, Unsupported
from paddock.model.task import ContainerInfo, ContainerType, Rlimit
from paddock.rpc.principal import ROOT_UID

UNLIMITED = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Powers:
    """`rlimit_ceilings`: resource → the highest hard limit that users may have. Root may ask for everything, but only what the
    operator allows of a Docker engine, which does more than root's own tasks can.
    """

    rlimit_ceilings: dict[str, float]
    may_gain_privileges: bool
    containerizers: tuple[ContainerType, ...]
    docker_parameters: tuple[str, ...]
    may_be_privileged: bool
    sandbox_at: str

    @classmethod
    def of(cls, settings: Settings) -> Powers:
        """The agent's own hard limits, which a task has anyway, and what the operator allows beyond them."""
        ceilings = {name: _own_hard_limit(number) for name, number in RLIMIT_NUMBERS.items()}
        for name, allowed in settings.allowed_rlimits:
            ceilings[name] = max(ceilings[name], UNLIMITED if allowed is None else allowed)
        return cls(
            rlimit_ceilings=ceilings,
            may_gain_privileges=settings.allow_new_privileges,
            containerizers=settings.containerizers,
            docker_parameters=settings.docker_allowed_parameters,
            may_be_privileged=settings.docker_allow_privileged,
            sandbox_at=settings.docker_mount_sandbox_at,
        )

    def require(self, caller_uid: int | None, container: ContainerInfo) -> None:
        """Raises PermissionRefused naming field, value and remedy; `caller_uid` None is nobody's. Raises Unsupported for a type
        that is not run here, InvalidRequest for what would be in the sandbox' place.
        """
        if container.type not in self.containerizers:
            served = ", ".join(container_type.value for container_type in self.containerizers)
            raise Unsupported(
                f"container.type = {container.type.value}", f"this agent runs {served} (--containerizers)"
            )
        if container.docker is not None:
            self._require_of_engine(container.docker)
        if caller_uid == ROOT_UID:
            return
        if container.docker is not None:
            _require_of_user(caller_uid, container.docker)
        asked = container.linux.effective_capabilities
        if asked:
            # With one that sets uids, or reads past permissions, the caller would be root.
            raise PermissionRefused(
                f"uid {caller_uid} may not ask for container.linux.effective_capabilities ({', '.join(asked)}): they are "
                "root's to give; leave them out, or have root launch it"
            )
        if container.linux.no_new_privileges is False and not self.may_gain_privileges:
            # Whatever setuid program this host has would be the caller's way to root, within the bounding set.
            raise PermissionRefused(
                f"uid {caller_uid} may not ask for container.linux.no_new_privileges=false: leave it out, have root "
                "launch it, or have the operator start agentd with --allow-new-privileges=true"
            )
        for index, rlimit in enumerate(container.rlimits):
            self._require_rlimit(caller_uid, rlimit, f"container.rlimits[{index}]")

    def _require_of_engine(self, docker: DockerInfo) -> None:
        """What the operator allows to nobody is not root's either."""
        if docker.privileged and not self.may_be_privileged:
            raise PermissionRefused(
                "container.docker.privileged=true is not allowed on this agent: leave it out, ask for devices and "
                "capabilities, or have the operator start agentd with --docker-allow-privileged=true"
            )
        places = (*(volume.container_path for volume in docker.volumes), *(tmpfs.path for tmpfs in docker.tmpfs))
        if self.sandbox_at in places:
            raise InvalidRequest(
                "container.docker", self.sandbox_at, "this agent has the sandbox there: choose another place"
            )
        for key, value in docker.parameters:
            if key not in self.docker_parameters:
                allowed = ",".join((*self.docker_parameters, key))
                raise PermissionRefused(
                    f"container.docker.parameters[{key}] ({value}) is not allowed on this agent: leave it out, or have the "
                    f"operator start agentd with --docker-allowed-parameters={allowed}"
                )

    def _require_rlimit(self, caller_uid: int | None, rlimit: Rlimit, field: str) -> None:
        """A name that does not exist is the isolator's to refuse."""
        ceiling = self.rlimit_ceilings.get(rlimit.resource, UNLIMITED)
        hard = UNLIMITED if rlimit.hard is None else rlimit.hard
        if hard > ceiling:
            raise PermissionRefused(
                f"uid {caller_uid} may not ask for {field} ({rlimit.resource}, hard limit {_shown(hard)}): the most for "
                f"users is {_shown(ceiling)} here; ask for at most that, have root launch it, or have the operator start "
                f"agentd with --allowed-rlimits={rlimit.resource}={_shown(hard)}"
            )


def _require_of_user(caller_uid: int | None, docker: DockerInfo) -> None:
    """The engine is root: whatever of the host it would hand over, or whom it would run, is not the caller's to choose."""
    asked = {
        "privileged": docker.privileged,
        "image_user": docker.image_user,
        "devices": bool(docker.devices),
        "volumes with a host_path": any(volume.host_path for volume in docker.volumes),
    }
    refused = [name for name, is_asked in asked.items() if is_asked]
    if refused:
        raise PermissionRefused(
            f"uid {caller_uid} may not ask for container.docker: {', '.join(refused)}: they are root's to give; leave them "
            "out, or have root launch it"
        )


def _own_hard_limit(number: int) -> float:
    hard = resource.getrlimit(number)[1]
    return UNLIMITED if hard == resource.RLIM_INFINITY else hard


def _shown(limit: float) -> str:
    return "unlimited" if limit == UNLIMITED else str(limit)
