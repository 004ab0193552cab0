"""MaintenanceService: when hosts will not be available, and who has said to leave them."""
# ruff: noqa: N802 - the methods' names are the proto's

from __future__ import annotations

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from masterd.core import availability
from masterd.core.events import MaintenanceUpdated
from masterd.core.maintenance_views import MaintenanceView, maintenance_view
from masterd.rpc.callers import current_caller
from masterd.rpc.operators import PAGE_DEFAULT_COUNT, PAGE_LIMIT_COUNT
from masterd.shell import MasterShell
from paddock.model.errors import InvalidRequest
from paddock.model.offer import Unavailability
from paddock.rpc.pages import page_on_wire
from paddock.wire.convert import bounds
from paddock.wire.v1 import maintenance_service_pb2 as pb
from paddock.wire.v1.maintenance_service_pb2_grpc import MaintenanceServiceServicer

_Context = ServicerContext[Message, Message]
_NS_PER_MS = 1_000_000
_ANSWERS = {
    None: pb.INVERSE_OFFER_ANSWER_UNSPECIFIED,
    True: pb.INVERSE_OFFER_ACCEPTED,
    False: pb.INVERSE_OFFER_DECLINED,
}


class MaintenancePlans(MaintenanceServiceServicer):
    """A call that only validates reads the state between two events, and leaves it as it is."""

    def __init__(self, shell: MasterShell) -> None:
        self._shell = shell

    async def ListMaintenance(
        self, request: pb.ListMaintenanceRequest, context: _Context
    ) -> pb.ListMaintenanceResponse:
        """By host."""
        state, wall_ns = self._shell.machine.state, self._shell.wall_ns()
        page, token = page_on_wire(
            state.maintenance,
            key=str,
            to_wire=lambda hostname: view_to_wire(maintenance_view(state, hostname, wall_ns=wall_ns)),
            size=request.page_size or PAGE_DEFAULT_COUNT,
            token=request.page_token,
            limit_count=PAGE_LIMIT_COUNT,
        )
        return pb.ListMaintenanceResponse(maintenance=page, next_page_token=token)

    async def UpdateMaintenance(
        self, request: pb.UpdateMaintenanceRequest, context: _Context
    ) -> pb.UpdateMaintenanceResponse:
        """Answers when it is durable."""
        event = event_from_wire(request)
        availability.check_root(event.caller, "plan maintenance")
        availability.check(self._shell.machine.state, event, self._shell.wall_ns())
        if not request.validate_only:
            await self._shell.call(event)
        return pb.UpdateMaintenanceResponse()


def event_from_wire(request: pb.UpdateMaintenanceRequest) -> MaintenanceUpdated:
    """Checked for form. Raises InvalidRequest naming the field."""
    bounds.count(request.schedule, "schedule")
    bounds.count(request.cancel_hostnames, "cancel_hostnames")
    if not request.schedule and not request.cancel_hostnames:
        raise InvalidRequest("schedule", "", "name at least one host")
    windows = []
    for index, message in enumerate(request.schedule):
        where = f"schedule[{index}]"
        start_ns = bounds.timestamp_ns(message.start, f"{where}.start")
        if not start_ns:
            raise InvalidRequest(f"{where}.start", "", "say when it begins")
        duration_ns = bounds.duration_ms(message.duration_ms, f"{where}.duration_ms") * _NS_PER_MS
        window = Unavailability(start_ns=start_ns, duration_ns=duration_ns)
        windows.append((_hostname(message.hostname, f"{where}.hostname"), window))
    cancelled = tuple(
        _hostname(hostname, f"cancel_hostnames[{index}]") for index, hostname in enumerate(request.cancel_hostnames)
    )
    return MaintenanceUpdated(caller=current_caller(), windows=tuple(windows), cancelled=cancelled)


def _hostname(text: str, field: str) -> str:
    if not text or not text.isprintable():
        raise InvalidRequest(field, text, "name the host as its agents do (`paddock agents` lists them)")
    return bounds.text(text, field)


def view_to_wire(view: MaintenanceView) -> pb.Maintenance:
    """With whom it concerns."""
    return pb.Maintenance(
        window=pb.MaintenanceWindow(
            hostname=view.hostname,
            start=bounds.timestamp(view.window.start_ns),
            duration_ms=view.window.duration_ns // _NS_PER_MS,
        ),
        active=view.active,
        agent_ids=view.agent_ids,
        frameworks=[
            pb.FrameworkOnHost(
                framework_id=each.framework_id,
                agent_id=each.agent_id,
                task_count=each.task_count,
                answer=_ANSWERS[each.accepted],
            )
            for each in view.concerned
        ],
    )
