"""`paddock quota`: what roles are guaranteed and limited to; and who would gain or lose by a change."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from paddock.cli.connect import add_master_argument, master_of
from paddock.cli.exit_codes import CONFLICT, OK
from paddock.cli.output import Column, Row, add_style_arguments, show
from paddock.cli.quantities import amounts, amounts_text
from paddock.model.errors import InvalidRequest
from paddock.model.resource_text import format_scalar

if TYPE_CHECKING:
    from paddock.rpc.clients.policy import OutlookView, PlanView, PolicyClient, QuotaWish

QUOTAS = (Column(title="ROLE"), Column(title="GUARANTEE"), Column(title="LIMIT"), Column(title="CONSUMED"))
PLAN = (
    Column(title="ROLE"),
    Column(title="RESOURCE"),
    Column(title="CAN GET"),
    Column(title="THEN"),
    Column(title="CHANGE"),
    Column(title="OWED"),
    Column(title="THEN OWED"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """list, set, remove, plan."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="{list,set,remove,plan}", help="what to do")
    for action, words in (
        ("list", "print the quotas"),
        ("set", "give a role a guarantee, a limit, or both; what is not said stays"),
        ("remove", "take a role's guarantee and limit away"),
        ("plan", "say who would gain and who would lose, and change nothing"),
    ):
        each = actions.add_parser(
            action, help=words, description=words[0].upper() + words[1:] + ".", allow_abbrev=False
        )
        if action != "list":
            each.add_argument("role", metavar="ROLE", help="whose quota; also one that nobody uses yet")
        if action in {"set", "plan"}:
            resources = "such as cpus:4;mem:8GiB; none takes it away"
            each.add_argument("--guarantee", metavar="RESOURCES", help=f"what is kept free for it, {resources}")
            each.add_argument("--limit", metavar="RESOURCES", help=f"what it cannot exceed, {resources}")
        if action in {"set", "remove"}:
            each.add_argument("--force", action="store_true", help="even what the cluster cannot honour now")
            each.add_argument("--dry-run", action="store_true", help="as plan")
        add_style_arguments(each)
        add_master_argument(each)


async def run(arguments: argparse.Namespace) -> int:
    """A plan that the master would refuse: 4, with each problem on stderr."""
    from paddock.rpc.clients.policy import PolicyClient  # noqa: PLC0415 - loads gRPC

    wish = None if arguments.action == "list" else wish_of(arguments)
    async with master_of(arguments) as master:
        policy = PolicyClient(master)
        if wish is None:
            return await _list(policy, arguments)
        only = arguments.action == "plan" or arguments.dry_run
        force = arguments.action != "plan" and arguments.force
        plan = await policy.update_quotas((wish,), force=force, validate_only=only)
    return _show_plan(plan, arguments, refused=bool(plan.problems) and not force) if only else OK


def wish_of(arguments: argparse.Namespace) -> QuotaWish:
    """What is to be of the role's quota."""
    from paddock.rpc.clients.policy import QuotaWish  # noqa: PLC0415 - loads gRPC

    if arguments.action == "remove":
        return QuotaWish(role=arguments.role, guarantees_milli={}, limits_milli={})
    if arguments.guarantee is None and arguments.limit is None:
        raise InvalidRequest("ROLE", arguments.role, "say what is to change: --guarantee, --limit, or both")
    return QuotaWish(
        role=arguments.role,
        guarantees_milli=None if arguments.guarantee is None else amounts(arguments.guarantee, "--guarantee"),
        limits_milli=None if arguments.limit is None else amounts(arguments.limit, "--limit"),
    )


async def _list(policy: PolicyClient, arguments: argparse.Namespace) -> int:
    roles = [role for role in await policy.list_roles() if role.guarantees_milli or role.limits_milli]
    rows = [
        Row(
            name=role.role,
            cells=(
                role.role,
                amounts_text(role.guarantees_milli),
                amounts_text(role.limits_milli),
                amounts_text(role.consumed_milli),
            ),
            document=role.document,
        )
        for role in roles
    ]
    show(QUOTAS, rows, arguments)
    return OK


def _show_plan(plan: PlanView, arguments: argparse.Namespace, *, refused: bool) -> int:
    show(PLAN, [row_of(outlook) for outlook in plan.outlooks], arguments)
    for problem in plan.problems:
        print(f"paddock quota: {problem}", file=sys.stderr)
    return CONFLICT if refused else OK


def row_of(view: OutlookView) -> Row:
    """One line: what the role can get at most, now and then, and what it is guaranteed and does not have."""
    change_milli = view.reach_after_milli - view.reach_before_milli
    return Row(
        name=view.role,
        cells=(
            view.role,
            view.name,
            format_scalar(view.reach_before_milli),
            format_scalar(view.reach_after_milli),
            f"+{format_scalar(change_milli)}" if change_milli > 0 else format_scalar(change_milli),
            format_scalar(view.owed_before_milli),
            format_scalar(view.owed_after_milli),
        ),
        document=view.document,
    )
