"""Every call of operators, with whatever its schema allows: an answer, or an error that names the field and changed nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from masterd.rpc.drains import Drains
from masterd.rpc.explanations import Explanations
from masterd.rpc.lifecycle import Lifecycle
from masterd.rpc.maintenance import MaintenancePlans
from masterd.rpc.operators import Operators
from masterd.rpc.policy import Policy
from masterd.rpc.reservations import Reservations
from masterd.rpc.resizes import Resizes
from masterd.rpc.schedulers import Schedulers
from masterd.rpc.services import services
from masterd.rpc.watches import Watches
from masterd.shell import MasterShell
from paddock.model.errors import InvalidRequest, PaddockError
from paddock.rpc.principal import OwnUidOnly
from paddock.wire.v1 import (
    drain_service_pb2,
    explain_service_pb2,
    lifecycle_service_pb2,
    maintenance_service_pb2,
    operator_service_pb2,
    policy_service_pb2,
    reservation_service_pb2,
    resize_service_pb2,
    scheduler_service_pb2,
    watch_service_pb2,
)
from tests.fakes.clock import FakeClock
from tests.unit.masterd.core.invariants import violations
from tests.unit.masterd.rpc.schema import messages
from tests.unit.masterd.rpc.serving import NO_CONTEXT, Method, cluster, served, summary

Service = Callable[[MasterShell], object]
SERVICES: dict[str, tuple[Service, FileDescriptor]] = {
    "DrainService": (Drains, drain_service_pb2.DESCRIPTOR),
    "ExplainService": (Explanations, explain_service_pb2.DESCRIPTOR),
    "LifecycleService": (Lifecycle, lifecycle_service_pb2.DESCRIPTOR),
    "MaintenanceService": (MaintenancePlans, maintenance_service_pb2.DESCRIPTOR),
    "OperatorService": (Operators, operator_service_pb2.DESCRIPTOR),
    "PolicyService": (Policy, policy_service_pb2.DESCRIPTOR),
    "ReservationService": (Reservations, reservation_service_pb2.DESCRIPTOR),
    "ResizeService": (Resizes, resize_service_pb2.DESCRIPTOR),
    "SchedulerService": (Schedulers, scheduler_service_pb2.DESCRIPTOR),
    "WatchService": (Watches, watch_service_pb2.DESCRIPTOR),
}
METHODS = {
    f"{service}.{method.name}": method
    for service, (_, file) in SERVICES.items()
    for method in file.services_by_name[service].methods
}
CALLS = sorted(name for name, method in METHODS.items() if not method.server_streaming)
WATCHES = sorted(name for name, method in METHODS.items() if method.server_streaming and "Watch" in method.name)
_OF_THE_CORE = frozenset({"quotas", "weights"})
"""What the core says of values that come from several fields."""


def request_of(name: str) -> st.SearchStrategy[Message]:
    """Half of what a framework says bears the name of a subscription that is there: the rest of it is looked at too."""
    made = messages(GetMessageClass(METHODS[name].input_type))
    if "subscription_id" not in METHODS[name].input_type.fields_by_name:
        return made
    return st.tuples(made, st.booleans()).map(lambda pair: subscribed(pair[0]) if pair[1] else pair[0])


def subscribed(request: Message) -> Message:
    framework_id, subscription = next(iter(cluster().state.frameworks.items()))
    setattr(request, "framework_id", framework_id)  # noqa: B010 - whatever message it is
    setattr(request, "subscription_id", subscription.subscription_id)  # noqa: B010
    return request


async def call(name: str, request: Message) -> None:
    world = cluster()
    before = summary(world)
    async with served(world) as shell:
        service, _, method = name.partition(".")
        function = getattr(SERVICES[service][0](shell), method)
        refused: PaddockError | None = None
        try:
            if METHODS[name].server_streaming:
                await until_bookmark(cast("AsyncIterator[Message]", function(request, NO_CONTEXT)))
            else:
                await cast("Method", function)(request, NO_CONTEXT)
        except PaddockError as error:
            refused = error
    if refused is not None or METHODS[name].server_streaming or getattr(request, "validate_only", False):
        assert summary(world) == before, refused
    if isinstance(refused, InvalidRequest):
        field = refused.field.replace("[", ".").split(".")[0]
        assert field in {*request.DESCRIPTOR.fields_by_name, *_OF_THE_CORE}, refused
    broken = list(violations(world.state, world.allocator))
    assert not broken, broken


async def until_bookmark(stream: AsyncIterator[Message]) -> None:
    """Every watch comes to one, whatever it began from, or is refused."""
    async with asyncio.timeout(20):
        async for answer in stream:
            if getattr(answer, "bookmark", False):
                return
    raise AssertionError("the stream ended")


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
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=st.data())
def test_whatever_the_schema_allows(name: str, drawn: st.DataObject) -> None:
    asyncio.run(call(name, drawn.draw(request_of(name))))


@pytest.mark.parametrize("name", WATCHES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=st.data())
def test_whatever_a_watch_begins_from(name: str, drawn: st.DataObject) -> None:
    asyncio.run(call(name, drawn.draw(request_of(name))))


async def test_nothing_that_operators_and_frameworks_can_call_is_left_out() -> None:
    """Subscribe and an agent's Connect live as long as their connection: what is said on them is in test_streams_schema.py."""
    shell = MasterShell(cluster().machine, write=lambda _: None, clock=FakeClock(), allocation_interval_s=3600)
    served_names = {each.name.removeprefix("paddock.wire.v1.") for each in services(shell, OwnUidOnly())}
    assert served_names == {*SERVICES, "AgentRegistryService"}
    assert METHODS.keys() - {*CALLS, *WATCHES} == {"SchedulerService.Subscribe"}
