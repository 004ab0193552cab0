"""PolicyService: roles with their weights and quotas, and changes of these."""
# ruff: noqa: N802 - the methods' names are the proto's

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from masterd.allocator.quota import QuotaChange
from masterd.allocator.shares import WEIGHT_LIMIT_MILLI
from masterd.core import quota_plan, role_views
from masterd.core.authorizer import Action
from masterd.core.events import QuotasUpdated, WeightsChanged
from masterd.core.rights import check_may
from masterd.core.views import RoleView
from masterd.rpc.callers import current_caller
from masterd.rpc.operators import PAGE_DEFAULT_COUNT, PAGE_LIMIT_COUNT
from masterd.shell import MasterShell
from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_role
from paddock.model.resources import Resource, Resources, Scalar, check_resources
from paddock.rpc.pages import page_of
from paddock.wire import convert
from paddock.wire.convert import bounds
from paddock.wire.v1 import policy_service_pb2 as pb
from paddock.wire.v1.policy_service_pb2_grpc import PolicyServiceServicer

_Context = ServicerContext[Message, Message]


class Policy(PolicyServiceServicer):
    """A call that only validates reads the state between two events, and leaves it as it is."""

    def __init__(self, shell: MasterShell) -> None:
        self._shell = shell

    async def ListRoles(self, request: pb.ListRolesRequest, context: _Context) -> pb.ListRolesResponse:
        """By name."""
        state = self._shell.machine.state
        roles, token = page_of(
            role_views.role_names(state),
            key=str,
            size=request.page_size or PAGE_DEFAULT_COUNT,
            token=request.page_token,
            limit_count=PAGE_LIMIT_COUNT,
        )
        views = role_views.role_views(state, roles)
        return pb.ListRolesResponse(roles=map(role_to_wire, views), next_page_token=token)

    async def UpdateQuotas(self, request: pb.UpdateQuotasRequest, context: _Context) -> pb.UpdateQuotasResponse:
        """The plan is of the state before the change."""
        changes = changes_from_wire(request)
        caller, state = current_caller(), self._shell.machine.state
        for index, change in enumerate(changes):
            check_may(state, caller, Action.UPDATE_QUOTA, change.role, f"changes[{index}].role")
        plan = quota_plan.plan(state, quota_plan.merged(state, changes))
        if not request.validate_only:
            await self._shell.call(QuotasUpdated(caller=caller, changes=changes, force=request.force))
        return pb.UpdateQuotasResponse(plan=plan_to_wire(plan))

    async def UpdateWeights(self, request: pb.UpdateWeightsRequest, context: _Context) -> pb.UpdateWeightsResponse:
        """All of them or none."""
        event = WeightsChanged(caller=current_caller(), weights_milli=weights_from_wire(request))
        for role, _ in event.weights_milli:
            check_may(self._shell.machine.state, event.caller, Action.UPDATE_WEIGHT, role, "weights_milli")
        if not request.validate_only:
            await self._shell.call(event)
        return pb.UpdateWeightsResponse()


def changes_from_wire(request: pb.UpdateQuotasRequest) -> tuple[QuotaChange, ...]:
    """Checked for form. Raises InvalidRequest naming the field."""
    if not request.changes:
        raise InvalidRequest("changes", "", "name at least one role whose quota is to change")
    bounds.count(request.changes, "changes")
    changes = []
    for index, message in enumerate(request.changes):
        where = f"changes[{index}]"
        if not message.HasField("guarantees") and not message.HasField("limits"):
            raise InvalidRequest(where, message.role, "give guarantees, limits, or both; empty ones remove")
        changes.append(
            QuotaChange(
                role=check_role(bounds.text(message.role, f"{where}.role", bounds.TEXT_LIMIT_BYTES), f"{where}.role"),
                guarantees_milli=_amounts(
                    message.guarantees, f"{where}.guarantees", given=message.HasField("guarantees")
                ),
                limits_milli=_amounts(message.limits, f"{where}.limits", given=message.HasField("limits")),
            )
        )
    return tuple(changes)


def _amounts(message: pb.Amounts, field: str, *, given: bool) -> Mapping[str, int] | None:
    if not given:
        return None
    bounds.count(list(message.milli), field)
    amounts = dict(sorted(message.milli.items()))
    named = tuple(Resource(name=name, value=Scalar(milli=milli)) for name, milli in amounts.items())
    check_resources(Resources(named), field)
    return amounts


def weights_from_wire(request: pb.UpdateWeightsRequest) -> tuple[tuple[str, int], ...]:
    """Sorted by role. Raises InvalidRequest naming the role."""
    weights = request.weights_milli
    if not weights:
        raise InvalidRequest("weights_milli", "", "name at least one role")
    bounds.count(list(weights), "weights_milli")
    for role, weight_milli in weights.items():
        check_role(bounds.text(role, "weights_milli", bounds.TEXT_LIMIT_BYTES), "weights_milli")
        if not 1 <= weight_milli <= WEIGHT_LIMIT_MILLI:
            remedy = f"use 1 to {WEIGHT_LIMIT_MILLI}, in thousandths"
            raise InvalidRequest(f"weights_milli[{role!r}]", weight_milli, remedy)
    return tuple(sorted(weights.items()))


def role_to_wire(view: RoleView) -> pb.Role:
    """A share is told as a float: it is for eyes, and decided nothing."""
    return pb.Role(
        role=view.role,
        weight_milli=view.weight_milli,
        guarantees=pb.Amounts(milli=view.quota.guarantees_milli),
        limits=pb.Amounts(milli=view.quota.limits_milli),
        consumed=pb.Amounts(milli=view.consumed_milli),
        reserved=pb.Amounts(milli=view.reserved_milli),
        allocated=convert.resources_to_wire(view.used),
        offered=convert.resources_to_wire(view.offered),
        framework_ids=view.framework_ids,
        share=None if view.share is None else float(view.share),
    )


def plan_to_wire(plan: quota_plan.QuotaPlan) -> pb.QuotaPlan:
    """Problems as the refusal would have them."""
    return pb.QuotaPlan(
        problems=[pb.QuotaProblem(field=each.field, value=each.value, remedy=each.remedy) for each in plan.problems],
        outlooks=[
            pb.QuotaOutlook(
                role=each.role,
                name=each.name,
                reach_before_milli=each.reach_before_milli,
                reach_after_milli=each.reach_after_milli,
                owed_before_milli=each.owed_before_milli,
                owed_after_milli=each.owed_after_milli,
            )
            for each in plan.changes
        ],
    )
