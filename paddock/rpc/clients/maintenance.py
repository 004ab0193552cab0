"""The client of a master's MaintenanceService."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.model.offer import Unavailability
from paddock.rpc.clients.master import MasterClient
from paddock.rpc.clients.views_from_wire import document
from paddock.rpc.errors import remote_errors
from paddock.wire.convert import bounds
from paddock.wire.v1 import maintenance_service_pb2 as pb
from paddock.wire.v1.maintenance_service_pb2_grpc import MaintenanceServiceStub

_PAGE_COUNT = 1_000
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceView:
    """A host's window. `staying`: frameworks with tasks there that have not said that they leave."""

    hostname: str
    window: Unavailability
    active: bool
    agent_ids: tuple[str, ...]
    task_count: int
    staying: tuple[str, ...]
    leaving: tuple[str, ...]
    document: str


class MaintenanceClient:
    """Answers as views. What the master refuses comes out as the same PaddockError."""

    def __init__(self, master: MasterClient) -> None:
        """Over the same connection."""
        self._stub = MaintenanceServiceStub(master.channel)
        self._subject = f"master at {master.address}"

    async def list_maintenance(self) -> tuple[MaintenanceView, ...]:
        """All pages."""
        request = pb.ListMaintenanceRequest(page_size=_PAGE_COUNT)
        found: list[MaintenanceView] = []
        while True:
            with remote_errors(self._subject):
                answer = await self._stub.ListMaintenance(request)
            found += map(maintenance_view, answer.maintenance)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return tuple(found)

    async def schedule(self, hostnames: tuple[str, ...], window: Unavailability, *, validate_only: bool) -> None:
        """The same window for each."""
        request = pb.UpdateMaintenanceRequest(
            schedule=[
                pb.MaintenanceWindow(
                    hostname=hostname,
                    start=bounds.timestamp(window.start_ns),
                    duration_ms=window.duration_ns // _NS_PER_MS,
                )
                for hostname in hostnames
            ],
            validate_only=validate_only,
        )
        with remote_errors(self._subject):
            await self._stub.UpdateMaintenance(request)

    async def cancel(self, hostnames: tuple[str, ...], *, validate_only: bool) -> None:
        """Available again, or after all."""
        request = pb.UpdateMaintenanceRequest(cancel_hostnames=hostnames, validate_only=validate_only)
        with remote_errors(self._subject):
            await self._stub.UpdateMaintenance(request)


def maintenance_view(message: pb.Maintenance) -> MaintenanceView:
    """A window of the master's."""
    leaving = {each.framework_id for each in message.frameworks if each.answer == pb.INVERSE_OFFER_ACCEPTED}
    staying = {each.framework_id for each in message.frameworks if each.task_count} - leaving
    return MaintenanceView(
        hostname=message.window.hostname,
        window=Unavailability(
            start_ns=bounds.timestamp_ns(message.window.start, "window.start"),
            duration_ns=message.window.duration_ms * _NS_PER_MS,
        ),
        active=message.active,
        agent_ids=tuple(message.agent_ids),
        task_count=sum(each.task_count for each in message.frameworks),
        staying=tuple(sorted(staying)),
        leaving=tuple(sorted(leaving)),
        document=document(message),
    )
