"""The lines of `paddock top roles`: of each role what it may have, what it has, and how large its share is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paddock.cli.output import Column, Row
from paddock.cli.quantities import amounts_text
from paddock.model.resource_text import format_resources, format_scalar
from paddock.model.resources import Resources

if TYPE_CHECKING:
    from paddock.rpc.clients.policy import RoleView
    from paddock.rpc.clients.views import TaskView

ROLE_COLUMNS = (
    Column(title="ROLE"),
    Column(title="SHARE"),
    Column(title="WEIGHT"),
    Column(title="GUARANTEE"),
    Column(title="LIMIT"),
    Column(title="RESERVED"),
    Column(title="ALLOCATED"),
    Column(title="OFFERED"),
    Column(title="FRAMEWORKS"),
    Column(title="TASKS"),
    Column(title="CONSUMED", wide=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleUse:
    """One role; amounts in thousandths by name. Tasks are those of its own that have not ended, none of roles below it."""

    name: str
    weight_milli: int
    share: float | None
    guarantees_milli: Mapping[str, int]
    limits_milli: Mapping[str, int]
    reserved_milli: Mapping[str, int]
    consumed_milli: Mapping[str, int]
    allocated: Resources
    offered: Resources
    framework_count: int
    task_count: int


def role_uses(roles: Iterable[RoleView], tasks: Sequence[TaskView]) -> list[RoleUse]:
    """All of them, in the master's order."""
    counts = Counter(task.role for task in tasks if not task.state.is_terminal)
    return [
        RoleUse(
            name=role.role,
            weight_milli=role.weight_milli,
            share=role.share,
            guarantees_milli=role.guarantees_milli,
            limits_milli=role.limits_milli,
            reserved_milli=_some(role.reserved_milli),
            consumed_milli=_some(role.consumed_milli),
            allocated=role.allocated.unallocated(),
            offered=role.offered.unallocated(),
            framework_count=len(role.framework_ids),
            task_count=counts[role.role],
        )
        for role in roles
    ]


def role_row(use: RoleUse) -> Row:
    """One line."""
    return Row(
        name=use.name,
        cells=(
            use.name,
            "" if use.share is None else f"{use.share:.4f}",
            format_scalar(use.weight_milli),
            amounts_text(use.guarantees_milli),
            amounts_text(use.limits_milli),
            amounts_text(use.reserved_milli),
            format_resources(use.allocated),
            format_resources(use.offered),
            str(use.framework_count),
            str(use.task_count),
            amounts_text(use.consumed_milli),
        ),
        document="",
    )


def role_fields(use: RoleUse) -> dict[str, object]:
    """For -o json: amounts by name; what is held of ranges and sets counts as thousandths of a number, too."""
    return {
        "role": use.name,
        "weight_milli": use.weight_milli,
        "share": use.share,
        "guarantees_milli": dict(use.guarantees_milli),
        "limits_milli": dict(use.limits_milli),
        "reserved_milli": dict(use.reserved_milli),
        "consumed_milli": dict(use.consumed_milli),
        "allocated_milli": use.allocated.quantities_milli(),
        "offered_milli": use.offered.quantities_milli(),
        "framework_count": use.framework_count,
        "task_count": use.task_count,
    }


def by_share(use: RoleUse) -> tuple[float, str]:
    """The largest first; a role with nobody in it has none, and comes behind one that has nothing."""
    return (1.0 if use.share is None else -use.share, use.name)


def _some(amounts_milli: Mapping[str, int]) -> Mapping[str, int]:
    return {name: milli for name, milli in amounts_milli.items() if milli}
