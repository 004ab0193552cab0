"""Who calls: found out once per call at the edge, asked for by the services, and the rules over it."""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Protocol

from paddock.model.errors import PermissionRefused

ROOT_UID = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller: the kernel's word for its uid."""

    uid: int

    @property
    def name(self) -> str:
        """As it is written into logs and FrameworkInfo.principal."""
        return f"uid:{self.uid}"


class Authenticator(Protocol):
    """Finds out who calls."""

    def authenticate(self, token: str | None, peer: str) -> Principal:
        """`token` as the caller sent it, None when it sent none; `peer` in gRPC's words. Raises Unauthenticated."""


class Authorizer(Protocol):
    """Says whether a principal may do something to what belongs to a uid."""

    def authorize(self, principal: Principal, action: str, owner_uid: int) -> None:
        """`action` completes "may not …": "kill container c1". Raises PermissionRefused."""


class OwnUidOnly:
    """uid 0 may do everything; another uid runs tasks as itself, and reads, enters and kills only those."""

    def authorize(self, principal: Principal, action: str, owner_uid: int) -> None:
        """Raises PermissionRefused naming both uids."""
        if principal.uid not in {ROOT_UID, owner_uid}:
            raise PermissionRefused(
                f"uid {principal.uid} may not {action}: it belongs to uid {owner_uid}; ask as that user or as root"
            )


_current: ContextVar[Principal] = ContextVar("paddock_principal")


def current_principal() -> Principal:
    """The caller of the RPC that is being served. LookupError outside of one: a defect, never a caller's fault."""
    return _current.get()


def serve_as(principal: Principal) -> Token[Principal]:
    """For the server's edge, and for tests of services: from here on in this task, this principal calls."""
    return _current.set(principal)
