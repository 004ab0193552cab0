"""The client of a master's ReservationService: what is reserved and made volumes at run time."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.model.offer import Change
from paddock.model.resources import Resource, Resources
from paddock.model.volumes import VolumeKey
from paddock.rpc.clients.master import MasterClient
from paddock.rpc.clients.views_from_wire import document
from paddock.rpc.errors import remote_errors
from paddock.wire import convert
from paddock.wire.v1 import reservation_service_pb2 as pb
from paddock.wire.v1.reservation_service_pb2_grpc import ReservationServiceStub

_PAGE_COUNT = 1_000
_ORPHANS = {
    pb.ORPHAN_REASON_UNSPECIFIED: "",
    pb.ORPHAN_NO_FRAMEWORK: "no framework",
    pb.ORPHAN_LEASE_ENDED: "lease ended",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedView:
    """One kind of reserved resource of one agent; `orphan` is empty when somebody may use it, `problem` of a volume when its
    agent can give it to tasks.
    """

    agent_id: str
    hostname: str
    resource: Resource
    used_milli: int
    orphan: str
    problem: str
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedList:
    """All that was asked for, and `unknown_volumes`, agent and volume: on disks, and on no list of the master's."""

    reserved: tuple[ReservedView, ...]
    unknown_volumes: tuple[tuple[str, VolumeKey], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedView:
    """What an operation did, or would do."""

    consumed: Resources
    converted: Resources
    rescinded_offer_ids: tuple[str, ...]
    document: str


class ReservationClient:
    """Answers as views. What the master refuses comes out as the same PaddockError."""

    def __init__(self, master: MasterClient) -> None:
        """Over the same connection."""
        self._stub = ReservationServiceStub(master.channel)
        self._subject = f"master at {master.address}"

    async def list_reservations(self, *, only_orphaned: bool, only_volumes: bool) -> ReservedList:
        """All pages."""
        request = pb.ListReservationsRequest(
            page_size=_PAGE_COUNT, only_orphaned=only_orphaned, only_volumes=only_volumes
        )
        found: list[ReservedView] = []
        unknown: list[tuple[str, VolumeKey]] = []
        while True:
            with remote_errors(self._subject):
                answer = await self._stub.ListReservations(request)
            found += map(reserved_view, answer.reservations)
            unknown += [(each.agent_id, _key_of(each)) for each in answer.unknown_volumes]
            request.page_token = answer.next_page_token
            if not request.page_token:
                return ReservedList(reserved=tuple(found), unknown_volumes=tuple(unknown))

    async def apply(self, agent_id: str, change: Change, *, validate_only: bool) -> AppliedView:
        """On what nobody uses."""
        request = pb.ApplyOperationRequest(
            agent_id=agent_id, operation=convert.operation_to_wire(change), validate_only=validate_only
        )
        with remote_errors(self._subject):
            answer = await self._stub.ApplyOperation(request)
        return AppliedView(
            consumed=convert.resources_from_wire(answer.consumed),
            converted=convert.resources_from_wire(answer.converted),
            rescinded_offer_ids=tuple(answer.rescinded_offer_ids),
            document=document(answer),
        )


def reserved_view(message: pb.ReservedResource) -> ReservedView:
    """A reservation or a volume of the master's."""
    (resource,) = convert.resources_from_wire([message.resource])
    return ReservedView(
        agent_id=message.agent_id,
        hostname=message.hostname,
        resource=resource,
        used_milli=message.used_milli,
        orphan=_ORPHANS.get(message.orphan_reason, f"reason {message.orphan_reason}"),
        problem=message.problem,
        document=document(message),
    )


def _key_of(message: pb.UnknownVolume) -> VolumeKey:
    return convert.volume_key_from_wire(message.volume, "unknown_volumes.volume")
