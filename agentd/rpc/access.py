"""Who may do what to which container: the authorizer's rule, applied to the agent's containers."""

from __future__ import annotations

from agentd.shell import Shell
from paddock.model.container import Container
from paddock.model.errors import NotFound, PermissionRefused
from paddock.model.ids import ContainerId
from paddock.model.task import ContainerInfo
from paddock.rpc.principal import ROOT_UID, Authorizer, Principal


class Access:
    """Asked by every service before it does anything."""

    def __init__(self, shell: Shell, authorizer: Authorizer) -> None:
        """The authorizer decides; in here are only the words."""
        self._shell = shell
        self._authorizer = authorizer

    def require(self, principal: Principal, action: str, owner_uid: int) -> None:
        """Raises PermissionRefused."""
        self._authorizer.authorize(principal, action, owner_uid)

    def may_see(self, principal: Principal, owner_uid: int) -> bool:
        """For lists: what one may not see is left out."""
        try:
            self._authorizer.authorize(principal, "see this", owner_uid)
        except PermissionRefused:
            return False
        return True

    def container(self, principal: Principal, action: str, container_id: ContainerId) -> Container:
        """As it is now. Raises NotFound, PermissionRefused."""
        view = self._shell.views.get(container_id)
        if view is None or container_id not in self._shell.state.containers:
            raise NotFound("container", container_id)
        self._authorizer.authorize(principal, f"{action} container {container_id}", view.config.user.uid)
        return view


def require_powers(caller_uid: int | None, container: ContainerInfo) -> None:
    """Capabilities that a user other than root shall have can only come from root: with one that sets uids, or reads past
    permissions, the caller would be root. Raises PermissionRefused; `caller_uid` None is nobody's.
    """
    asked = container.linux.effective_capabilities
    if asked and caller_uid != ROOT_UID:
        raise PermissionRefused(
            f"uid {caller_uid} may not ask for container.linux.effective_capabilities ({', '.join(asked)}): they are root's "
            "to give; leave them out, or have root launch it"
        )
