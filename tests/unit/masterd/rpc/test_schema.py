"""Every call of operators, with whatever its schema allows: an answer, or an error that names the field and changed nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from masterd.rpc.explanations import Explanations
from masterd.rpc.lifecycle import Lifecycle
from masterd.rpc.maintenance import MaintenancePlans
from masterd.rpc.policy import Policy
from masterd.rpc.reservations import Reservations
from masterd.rpc.schedulers import Schedulers
from masterd.shell import MasterShell
from paddock.model.errors import InvalidRequest, PaddockError
from paddock.wire.v1 import (
    explain_service_pb2,
    lifecycle_service_pb2,
    maintenance_service_pb2,
    policy_service_pb2,
    reservation_service_pb2,
    scheduler_service_pb2,
)
from tests.unit.masterd.core.invariants import violations
from tests.unit.masterd.rpc.schema import messages
from tests.unit.masterd.rpc.serving import NO_CONTEXT, Method, cluster, served, summary

Service = Callable[[MasterShell], object]
CALLS: dict[str, tuple[Service, type[Message]]] = {
    "ListRoles": (Policy, policy_service_pb2.ListRolesRequest),
    "UpdateQuotas": (Policy, policy_service_pb2.UpdateQuotasRequest),
    "ListReservations": (Reservations, reservation_service_pb2.ListReservationsRequest),
    "ApplyOperation": (Reservations, reservation_service_pb2.ApplyOperationRequest),
    "ExplainOffers": (Explanations, explain_service_pb2.ExplainOffersRequest),
    "DeactivateAgent": (Lifecycle, lifecycle_service_pb2.DeactivateAgentRequest),
    "ReactivateAgent": (Lifecycle, lifecycle_service_pb2.ReactivateAgentRequest),
    "MarkAgentGone": (Lifecycle, lifecycle_service_pb2.MarkAgentGoneRequest),
    "TeardownFramework": (Lifecycle, lifecycle_service_pb2.TeardownFrameworkRequest),
    "ListMaintenance": (MaintenancePlans, maintenance_service_pb2.ListMaintenanceRequest),
    "UpdateMaintenance": (MaintenancePlans, maintenance_service_pb2.UpdateMaintenanceRequest),
    "AnswerInverseOffer": (Schedulers, scheduler_service_pb2.AnswerInverseOfferRequest),
    "UpdateWeights": (Policy, policy_service_pb2.UpdateWeightsRequest),
}
_OF_THE_CORE = frozenset({"quotas", "weights"})
"""What the core says of values that come from several fields."""


async def call(name: str, request: Message) -> None:
    world = cluster()
    before = summary(world)
    async with served(world) as shell:
        method = cast("Method", getattr(CALLS[name][0](shell), name))
        refused: PaddockError | None = None
        try:
            await method(request, NO_CONTEXT)
        except PaddockError as error:
            refused = error
    if refused is not None:
        assert summary(world) == before, refused
    if isinstance(refused, InvalidRequest):
        field = refused.field.replace("[", ".").split(".")[0]
        assert field in {*request.DESCRIPTOR.fields_by_name, *_OF_THE_CORE}, refused
    broken = list(violations(world.state, world.allocator))
    assert not broken, broken


async def accept(request: scheduler_service_pb2.AcceptRequest, *, honest: bool) -> None:
    """By a framework that holds an offer; `honest`: it names that one."""
    world = cluster()
    held = next(iter(world.state.offers.values())).offer
    framework = world.state.frameworks[held.framework_id]
    request.framework_id, request.subscription_id = held.framework_id, framework.subscription_id
    if honest:
        del request.offer_ids[:]
        request.offer_ids.append(held.offer_id)
    before = summary(world)
    async with served(world) as shell:
        try:
            await Schedulers(shell).Accept(request, NO_CONTEXT)
        except PaddockError:
            refused = True
        else:
            refused = False
    assert not refused or summary(world) == before
    broken = list(violations(world.state, world.allocator))
    assert not broken, broken


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(request=messages(scheduler_service_pb2.AcceptRequest), honest=st.booleans())
def test_whatever_a_framework_wants_to_do_with_an_offer(
    request: scheduler_service_pb2.AcceptRequest, honest: bool
) -> None:
    asyncio.run(accept(request, honest=honest))


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=st.data())
def test_whatever_the_schema_allows(name: str, drawn: st.DataObject) -> None:
    asyncio.run(call(name, drawn.draw(messages(CALLS[name][1]))))
