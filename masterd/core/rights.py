"""Whether a caller may do something to a role: the master's own list of roles first, then whoever decides about rights."""

from __future__ import annotations

from masterd.core.authorizer import Action
from masterd.core.events import Caller
from masterd.core.state import MasterState
from paddock.model.errors import InvalidRequest, PermissionRefused
from paddock.model.ids import check_role


def check_may(state: MasterState, caller: Caller, action: Action, role: str, field: str) -> None:
    """Raises InvalidRequest for a role that this master does not take, PermissionRefused for one that is not the caller's."""
    check_role(role, field)
    known = state.settings.roles
    if known is not None and role not in known:
        raise InvalidRequest(field, role, f"this master takes the roles {', '.join(sorted(known)) or 'of nobody'}")
    if not state.authorizer.allows(caller, action, role):
        raise PermissionRefused(f"{caller.user or caller.uid} may not {action.value} role {role}")
