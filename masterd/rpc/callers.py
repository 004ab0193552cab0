"""Who calls, as the core wants to know it: the uid that the kernel vouches for, with the name of this host's user."""

from __future__ import annotations

import pwd

from masterd.core.events import Caller
from paddock.model.errors import PermissionRefused
from paddock.rpc.principal import current_principal


def current_caller() -> Caller:
    """The caller of the RPC that is being served. A uid without a name cannot run tasks as itself, so it is refused."""
    uid = current_principal().uid
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        message = f"uid {uid} has no name on the master's host; add the user there, or call as another one"
        raise PermissionRefused(message) from None
    return Caller(uid=uid, user=name)
