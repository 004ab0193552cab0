"""ExplainService: for each framework, role and agent the reasons why there is no offer."""
# ruff: noqa: N802 - the methods' names are the proto's

from __future__ import annotations

import asyncio
from collections.abc import Collection

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from masterd.allocator.explain import Finding, Reason, of_inactivity
from masterd.allocator.interface import Inactivity
from masterd.core import explanations
from masterd.core.explanations import Explanation
from masterd.shell import MasterShell
from paddock.model import ids
from paddock.rpc.pages import page_of
from paddock.wire.convert import bounds
from paddock.wire.v1 import explain_service_pb2 as pb
from paddock.wire.v1.explain_service_pb2_grpc import ExplainServiceServicer

PAGE_DEFAULT_COUNT = 100
PAGE_LIMIT_COUNT = 1_000
_NS_PER_MS = 1_000_000
_Context = ServicerContext[Message, Message]
_REASONS = {reason: pb.NoOfferReason.Value(f"NO_OFFER_{reason.name}") for reason in Reason}


class Explanations(ExplainServiceServicer):
    """Each answer is of one moment; between two of them the master goes on with its work."""

    def __init__(self, shell: MasterShell) -> None:
        self._shell = shell

    async def ExplainOffers(self, request: pb.ExplainOffersRequest, context: _Context) -> pb.ExplainOffersResponse:
        """By framework, role and agent."""
        state = self._shell.machine.state
        keys, token = page_of(
            explanations.explanation_keys(
                state,
                framework_id=ids.framework_id(request.framework_id) if request.framework_id else None,
                role=ids.check_role(request.role) if request.role else None,
                agent_id=ids.agent_id(request.agent_id) if request.agent_id else None,
            ),
            key="\n".join,
            size=request.page_size or PAGE_DEFAULT_COUNT,
            token=request.page_token,
            limit_count=PAGE_LIMIT_COUNT,
        )
        answer = pb.ExplainOffersResponse(next_page_token=token)
        for key in keys:
            now_ns = self._shell.now_ns()
            found = explanations.explanation(state, key, now_ns=now_ns, wall_ns=self._shell.wall_ns())
            if found is not None:
                answer.explanations.append(explanation_to_wire(found, now_ns))
            await asyncio.sleep(0)
        return answer


def reasons_to_wire(why: Collection[Inactivity]) -> list[pb.NoOfferReason.ValueType]:
    """Why an agent is not offered at all, in the reasons' order."""
    return [_REASONS[finding.reason] for finding in of_inactivity(why)]


def explanation_to_wire(found: Explanation, now_ns: int) -> pb.NoOfferExplanation:
    """The first finding is the answer."""
    return pb.NoOfferExplanation(
        framework_id=found.framework_id,
        role=found.role,
        agent_id=found.agent_id,
        hostname=found.hostname,
        findings=[finding_to_wire(finding, found, now_ns) for finding in found.findings],
    )


def finding_to_wire(finding: Finding, found: Explanation, now_ns: int) -> pb.NoOfferFinding:
    """Shares are told as floats: they are for eyes, and decided nothing."""
    drain = found.drain if finding.reason is Reason.DRAINING else None
    window = found.unavailability if finding.reason is Reason.MAINTENANCE else None
    first_framework_id, first_role = finding.first or ("", "")
    until_ns = finding.until_ns
    return pb.NoOfferFinding(
        reason=_REASONS[finding.reason],
        words=finding.reason.value,
        resource_names=finding.names,
        roles=finding.roles,
        filtered_for_ms=None if until_ns is None else max(until_ns - now_ns, 0) // _NS_PER_MS,
        first_framework_id=first_framework_id,
        first_role=first_role,
        first_share=None if finding.first_share is None else float(finding.first_share),
        own_share=None if finding.own_share is None else float(finding.own_share),
        until=None if window is None or window.end_ns is None else bounds.timestamp(window.end_ns),
        asked_by="" if drain is None else drain.asked_by,
        task_count=None if drain is None else found.task_count,
    )
