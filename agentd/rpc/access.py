"""Who may do what to which container: the authorizer's rule, applied to the agent's containers."""

from __future__ import annotations

from agentd.shell import Shell
from paddock.model.container import Container
from paddock.model.errors import NotFound, PermissionRefused
from paddock.model.ids import ContainerId
from paddock.rpc.principal import Authorizer, Principal


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
