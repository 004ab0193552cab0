"""What `paddock explain agent` says of an agent itself, and `explain task` of the agent that it is on."""

from __future__ import annotations

import json
from dataclasses import replace

from paddock.cli.explain_offers import agent_lines, document_of, row_of, withheld_lines
from paddock.model.offer import Unavailability
from paddock.rpc.clients.explanations import ExplanationView
from paddock.rpc.clients.views import DrainView
from tests.unit.cli.views import agent_view

SECOND_NS = 10**9


def test_an_agent_in_use_has_its_state_only() -> None:
    assert list(agent_lines(agent_view("a1"), 0)) == [("Agent", "a1 on here, active")]


def test_what_operators_have_decided_is_said_in_the_order_of_the_reasons_and_until_when() -> None:
    drain = DrainView(asked_by="root (uid 0)", max_grace_ms=500, mark_gone=True, is_done=False)
    window = Unavailability(start_ns=SECOND_NS, duration_ns=2 * SECOND_NS)
    agent = replace(
        agent_view("a1"), state="draining", deactivated=True, drain=drain, unavailability=window, problem="full"
    )
    assert list(agent_lines(agent, SECOND_NS)) == [
        ("Agent", "a1 on here, draining"),
        ("Deactivated", "until `paddock reactivate a1`"),
        ("Draining", "asked for by root (uid 0); tasks have 500 ms at most; marked as gone then"),
        ("Maintenance", "under way, until 1970-01-01T00:00:03.000Z"),
        ("Problem", "full"),
    ]


def test_what_is_planned_done_or_without_an_end() -> None:
    drain = DrainView(asked_by="root (uid 0)", max_grace_ms=None, mark_gone=False, is_done=True)
    window = Unavailability(start_ns=SECOND_NS, duration_ns=0)
    agent = replace(agent_view("a1"), drain=drain, unavailability=window)
    assert list(withheld_lines(agent, 0)) == [
        ("Drained", "asked for by root (uid 0); until `paddock drain a1 --cancel`"),
        ("Maintenance", "planned from 1970-01-01T00:00:01.000Z, until it is cancelled"),
    ]


def test_the_document_has_the_agent_and_each_explanation() -> None:
    view = ExplanationView(
        framework_id="f", role="r", agent_id="a1", hostname="here", reasons=(("draining", "why"),), document='{"x": 1}'
    )
    assert json.loads(document_of(agent_view("a1"), [view])) == {"agent": {"id": "a1"}, "explanations": [{"x": 1}]}
    assert json.loads(document_of(agent_view("a1"), [])) == {"agent": {"id": "a1"}, "explanations": []}
    assert row_of(view).cells[4:] == ("draining", "", "why")
