"""Whom resources are for: role paths, and the roles whose reservations a role may use."""

from __future__ import annotations

from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_role
from paddock.model.resources import DEFAULT_ROLE, Resource


def ancestors(path: str) -> tuple[str, ...]:
    """The roles above, the nearest first."""
    components = path.split("/")
    return tuple("/".join(components[:depth]) for depth in range(len(components) - 1, 0, -1))


def role_line(path: str) -> tuple[str, ...]:
    """The roles whose reservations a role may use: `*`, then each ancestor, then itself."""
    if path == DEFAULT_ROLE:
        return (DEFAULT_ROLE,)
    return (DEFAULT_ROLE, *reversed(ancestors(path)), path)


def is_strict_subrole(path: str, above: str) -> bool:
    """Whether the role is below the other."""
    return path.startswith(f"{above}/")


def is_offerable(resource: Resource, role: str) -> bool:
    """Unreserved: to everybody. Reserved: to the role and those below it."""
    return resource.reserved_role in role_line(role)


def parse_roles(text: str, field: str = "roles") -> tuple[str, ...]:
    """Roles joined by commas; empty ones are left out. Raises InvalidRequest for the first that is none."""
    return tuple(check_role(part, field) for part in text.split(",") if part)


def check_stack(resource: Resource, field: str) -> None:
    """Each reservation refines the one below: for a role below that one's; only the first can be static."""
    for below, above in zip(resource.reservations, resource.reservations[1:], strict=False):
        if not is_strict_subrole(above.role, below.role):
            remedy = f"what is reserved for {below.role} can be reserved again only for roles below it"
            raise InvalidRequest(field, above.role, remedy)
        if not above.dynamic:
            raise InvalidRequest(
                field, above.role, "only the first reservation can come from the agent's configuration"
            )
