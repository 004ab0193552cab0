"""The client of a master's ExplainService."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.rpc.clients.master import MasterClient
from paddock.rpc.clients.views_from_wire import document
from paddock.rpc.errors import remote_errors
from paddock.wire.v1 import explain_service_pb2 as pb
from paddock.wire.v1.explain_service_pb2_grpc import ExplainServiceStub

_PAGE_COUNT = 100
_PREFIX = "NO_OFFER_"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationView:
    """`reasons` in their order, each with what belongs to it, in words; none where an offer is out, or comes."""

    framework_id: str
    role: str
    agent_id: str
    hostname: str
    reasons: tuple[tuple[str, str], ...]
    document: str


class ExplainClient:
    """Answers as views. What the master refuses comes out as the same PaddockError."""

    def __init__(self, master: MasterClient) -> None:
        """Over the same connection."""
        self._stub = ExplainServiceStub(master.channel)
        self._subject = f"master at {master.address}"

    async def explain_offers(self, *, framework_id: str, role: str, agent_id: str) -> tuple[ExplanationView, ...]:
        """All pages; empty: any."""
        request = pb.ExplainOffersRequest(
            page_size=_PAGE_COUNT, framework_id=framework_id, role=role, agent_id=agent_id
        )
        found: list[ExplanationView] = []
        while True:
            with remote_errors(self._subject):
                answer = await self._stub.ExplainOffers(request)
            found += map(explanation_view, answer.explanations)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return tuple(found)


def explanation_view(message: pb.NoOfferExplanation) -> ExplanationView:
    """A reason of a newer master has its words."""
    return ExplanationView(
        framework_id=message.framework_id,
        role=message.role,
        agent_id=message.agent_id,
        hostname=message.hostname,
        reasons=tuple((reason_name(finding.reason), _words(finding)) for finding in message.findings),
        document=document(message),
    )


def reason_name(reason: int) -> str:
    """As people write it; a number that this version does not know as it is."""
    try:
        return pb.NoOfferReason.Name(reason).removeprefix(_PREFIX).lower()  # type: ignore[arg-type]
    except ValueError:
        return f"reason {reason}"


def _words(finding: pb.NoOfferFinding) -> str:
    more = [", ".join(finding.resource_names)] if finding.resource_names else []
    if finding.roles:
        more.append(f"for {', '.join(finding.roles)}")
    if finding.HasField("filtered_for_ms"):
        more.append(f"for {finding.filtered_for_ms / 1000:.1f} s more")
    if finding.reason == pb.NO_OFFER_MAINTENANCE:
        more.append(f"until {finding.until.ToJsonString() if finding.HasField('until') else 'it is cancelled'}")
    if finding.asked_by:
        more.append(f"asked for by {finding.asked_by}")
    if finding.HasField("task_count"):
        more.append(f"tasks not ended there: {finding.task_count}")
    if finding.first_framework_id:
        shares = (
            f": {finding.first_share:.4f} against {finding.own_share:.4f}"
            if finding.HasField("first_share") and finding.HasField("own_share")
            else ""
        )
        more.append(f"{finding.first_framework_id} in {finding.first_role}{shares}")
    return f"{finding.words} ({'; '.join(more)})" if more else finding.words
