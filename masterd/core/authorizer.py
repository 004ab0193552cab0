"""Who may do what to a role: the seam. Without rules everybody may."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from masterd.core.events import Caller


class Action(Enum):
    """What is done to a role."""

    REGISTER = "register with"
    RESERVE = "reserve for"
    UPDATE_QUOTA = "update the quota of"
    UPDATE_WEIGHT = "update the weight of"


class Authorizer(Protocol):
    """Asked before anything is changed."""

    def allows(self, caller: Caller, action: Action, role: str) -> bool:
        """Whether the caller may do it."""
        ...


class AllowAll:
    """The rules come with a later version."""

    def allows(self, caller: Caller, action: Action, role: str) -> bool:
        """Everybody may do everything."""
        return True
