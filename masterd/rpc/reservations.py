"""ReservationService: what is reserved and made volumes at run time, and operators' changes of it."""
# ruff: noqa: N802 - the methods' names are the proto's

from __future__ import annotations

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from masterd.core import operator_changes, reservation_views
from masterd.core.events import ResourcesChanged
from masterd.core.reservation_views import Key, Orphan
from masterd.rpc.callers import current_caller
from masterd.rpc.operators import PAGE_DEFAULT_COUNT, PAGE_LIMIT_COUNT
from masterd.shell import MasterShell
from paddock.model import ids
from paddock.model.errors import InvalidRequest, Unsupported
from paddock.model.offer import Launch
from paddock.model.resources import Resources
from paddock.rpc.pages import page_on_wire
from paddock.wire import convert
from paddock.wire.v1 import reservation_service_pb2 as pb
from paddock.wire.v1.reservation_service_pb2_grpc import ReservationServiceServicer

_Context = ServicerContext[Message, Message]
_ORPHANS = {
    None: pb.ORPHAN_REASON_UNSPECIFIED,
    Orphan.NO_FRAMEWORK: pb.ORPHAN_NO_FRAMEWORK,
    Orphan.LEASE_ENDED: pb.ORPHAN_LEASE_ENDED,
}


class Reservations(ReservationServiceServicer):
    """A call that only validates reads the state between two events, and leaves it as it is."""

    def __init__(self, shell: MasterShell) -> None:
        self._shell = shell

    async def ListReservations(
        self, request: pb.ListReservationsRequest, context: _Context
    ) -> pb.ListReservationsResponse:
        """By agent."""
        state, wall_ns = self._shell.machine.state, self._shell.wall_ns()
        keys = reservation_views.reservation_keys(
            state, wall_ns=wall_ns, only_orphaned=request.only_orphaned, only_volumes=request.only_volumes
        )

        def to_wire(key: Key) -> pb.ReservedResource:
            view = reservation_views.reservation_view(state, key, wall_ns=wall_ns)
            (resource,) = convert.resources_to_wire(Resources((view.resource,)))
            return pb.ReservedResource(
                agent_id=view.agent_id,
                hostname=view.hostname,
                resource=resource,
                used_milli=view.used_milli,
                orphan_reason=_ORPHANS[view.orphan],
                problem=view.problem,
            )

        page, token = page_on_wire(
            keys,
            key=lambda key: f"{key[0]}/{key[1]:06}",
            to_wire=to_wire,
            size=request.page_size or PAGE_DEFAULT_COUNT,
            token=request.page_token,
            limit_count=PAGE_LIMIT_COUNT,
        )
        wants_unknown = not request.page_token and not request.only_orphaned
        unknown = reservation_views.unknown_volumes(state) if wants_unknown else []
        return pb.ListReservationsResponse(
            reservations=page,
            next_page_token=token,
            unknown_volumes=[
                pb.UnknownVolume(agent_id=agent_id, volume=convert.volume_key_to_wire(volume))
                for agent_id, volume in unknown
            ],
        )

    async def ApplyOperation(self, request: pb.ApplyOperationRequest, context: _Context) -> pb.ApplyOperationResponse:
        """The answer is of the state before it."""
        event = event_from_wire(request)
        planned = operator_changes.plan(self._shell.machine.state, event, wall_ns=self._shell.wall_ns())
        if not request.validate_only:
            await self._shell.call(event)
        return pb.ApplyOperationResponse(
            consumed=convert.resources_to_wire(planned.conversion.consumed),
            converted=convert.resources_to_wire(planned.conversion.converted),
            rescinded_offer_ids=planned.offer_ids,
        )


def event_from_wire(request: pb.ApplyOperationRequest) -> ResourcesChanged:
    """Checked for form. Raises InvalidRequest or Unsupported naming the field."""
    agent_id = ids.agent_id(request.agent_id)
    operation = convert.operation_from_wire(request.operation, "operation")
    if isinstance(operation, Launch):
        raise Unsupported("operation.launch", "frameworks launch tasks; use `paddock run` for a single command")
    if operation.operation_id:
        raise InvalidRequest(
            "operation.operation_id", operation.operation_id, "leave it empty: the answer is the call's"
        )
    return ResourcesChanged(caller=current_caller(), agent_id=agent_id, change=operation)
