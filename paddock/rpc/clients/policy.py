"""The client of a master's PolicyService: roles, quotas, weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paddock.model.resources import Resources
from paddock.rpc.clients.master import MasterClient
from paddock.rpc.clients.views_from_wire import document
from paddock.rpc.errors import remote_errors
from paddock.wire import convert
from paddock.wire.v1 import policy_service_pb2 as pb
from paddock.wire.v1.policy_service_pb2_grpc import PolicyServiceStub

_PAGE_COUNT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleView:
    """A role as the master knows it; amounts in thousandths by name. `share` is None when nobody is in it."""

    role: str
    weight_milli: int
    guarantees_milli: Mapping[str, int]
    limits_milli: Mapping[str, int]
    consumed_milli: Mapping[str, int]
    reserved_milli: Mapping[str, int]
    allocated: Resources
    offered: Resources
    framework_ids: tuple[str, ...]
    share: float | None
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaWish:
    """What a role's quota is to be; None: as it is."""

    role: str
    guarantees_milli: Mapping[str, int] | None
    limits_milli: Mapping[str, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlookView:
    """What changes for a role and a resource name, in thousandths."""

    role: str
    name: str
    reach_before_milli: int
    reach_after_milli: int
    owed_before_milli: int
    owed_after_milli: int
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """`problems`: why it is refused without force, in sentences."""

    problems: tuple[str, ...]
    outlooks: tuple[OutlookView, ...]


class PolicyClient:
    """Answers as views. What the master refuses comes out as the same PaddockError."""

    def __init__(self, master: MasterClient) -> None:
        """Over the same connection."""
        self._stub = PolicyServiceStub(master.channel)
        self._subject = f"master at {master.address}"

    async def list_roles(self) -> tuple[RoleView, ...]:
        """All pages."""
        request = pb.ListRolesRequest(page_size=_PAGE_COUNT)
        found: list[RoleView] = []
        while True:
            with remote_errors(self._subject):
                answer = await self._stub.ListRoles(request)
            found += map(role_view, answer.roles)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return tuple(found)

    async def update_quotas(self, wishes: tuple[QuotaWish, ...], *, force: bool, validate_only: bool) -> PlanView:
        """What comes of it, or would."""
        request = pb.UpdateQuotasRequest(force=force, validate_only=validate_only)
        for wish in wishes:
            change = request.changes.add(role=wish.role)
            if wish.guarantees_milli is not None:
                change.guarantees.CopyFrom(pb.Amounts(milli=wish.guarantees_milli))
            if wish.limits_milli is not None:
                change.limits.CopyFrom(pb.Amounts(milli=wish.limits_milli))
        with remote_errors(self._subject):
            answer = await self._stub.UpdateQuotas(request)
        return plan_view(answer.plan)

    async def update_weights(self, weights_milli: Mapping[str, int], *, validate_only: bool) -> None:
        """All of them or none."""
        request = pb.UpdateWeightsRequest(weights_milli=weights_milli, validate_only=validate_only)
        with remote_errors(self._subject):
            await self._stub.UpdateWeights(request)


def role_view(message: pb.Role) -> RoleView:
    """A role of the master's."""
    return RoleView(
        role=message.role,
        weight_milli=message.weight_milli,
        guarantees_milli=dict(message.guarantees.milli),
        limits_milli=dict(message.limits.milli),
        consumed_milli=dict(message.consumed.milli),
        reserved_milli=dict(message.reserved.milli),
        allocated=convert.resources_from_wire(message.allocated),
        offered=convert.resources_from_wire(message.offered),
        framework_ids=tuple(message.framework_ids),
        share=message.share if message.HasField("share") else None,
        document=document(message),
    )


def plan_view(message: pb.QuotaPlan) -> PlanView:
    """A plan of the master's."""
    return PlanView(
        problems=tuple(f"{each.field}: {each.value} is not accepted: {each.remedy}" for each in message.problems),
        outlooks=tuple(
            OutlookView(
                role=each.role,
                name=each.name,
                reach_before_milli=each.reach_before_milli,
                reach_after_milli=each.reach_after_milli,
                owed_before_milli=each.owed_before_milli,
                owed_after_milli=each.owed_after_milli,
                document=document(each),
            )
            for each in message.outlooks
        ),
    )
