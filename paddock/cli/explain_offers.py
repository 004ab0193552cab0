"""`paddock explain framework`, `role` and `agent`: why there is no offer; of an agent also what keeps it from being offered."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from paddock.cli.agents import state_of
from paddock.cli.connect import master_of
from paddock.cli.describe import Line, show_lines
from paddock.cli.exit_codes import OK
from paddock.cli.find import find_agent
from paddock.cli.output import Column, Row, json_list, moment, show
from paddock.cli.status import NOTHING_NEW

if TYPE_CHECKING:
    from paddock.rpc.clients.explanations import ExplanationView
    from paddock.rpc.clients.master import MasterClient
    from paddock.rpc.clients.views import AgentView

COLUMNS = (
    Column(title="FRAMEWORK"),
    Column(title="ROLE"),
    Column(title="AGENT"),
    Column(title="HOST", wide=True),
    Column(title="WHY"),
    Column(title="ALSO"),
    Column(title="IN WORDS"),
)


async def run(kind: str, name: str, arguments: argparse.Namespace) -> int:
    """`kind`: framework, role or agent. An agent that has nobody to be offered to has its own lines all the same."""
    from paddock.rpc.clients.explanations import ExplainClient  # noqa: PLC0415 - loads gRPC

    role = name if kind == "role" else arguments.role
    framework_id = name if kind == "framework" else arguments.framework
    agent = None
    async with master_of(arguments) as master:
        if kind == "agent":
            agent = await find_agent(master, name)
        agent_id = arguments.agent if agent is None else agent.info.agent_id
        found = await ExplainClient(master).explain_offers(framework_id=framework_id, role=role, agent_id=agent_id)
        await tell_problem(master)
    if agent is not None and arguments.output == "json":
        sys.stdout.write(document_of(agent, found))
        return OK
    if agent is not None and arguments.output != "name":
        show_lines(agent_lines(agent, time.time_ns()))
        sys.stdout.write("\n")
    show(COLUMNS, [row_of(view) for view in found], arguments)
    if not found:
        where = f" in role {role!r}" if role else ""
        nobody = f"no framework{where} is subscribed, so nobody waits for an offer; `paddock frameworks` lists them all"
        print(f"paddock explain: {nobody}", file=sys.stderr)
    return OK


async def tell_problem(master: MasterClient) -> None:
    """The master's own, on stderr: offers come all the same, and nothing comes of them; ends wait at their agents."""
    problem = (await master.get_state()).problem
    if problem:
        print(f"paddock explain: {NOTHING_NEW}: {problem}", file=sys.stderr)


def document_of(agent: AgentView, found: Sequence[ExplanationView]) -> str:
    """One JSON object."""
    explanations = json_list([view.document for view in found])
    return f'{{\n"agent": {agent.document.strip()},\n"explanations": {explanations.strip()}\n}}\n'


def agent_lines(agent: AgentView, now_ns: int) -> Iterator[Line]:
    """Who it is, and what keeps it from being offered to anybody."""
    yield "Agent", f"{agent.info.agent_id} on {agent.info.hostname}, {state_of(agent, now_ns)}"
    yield from withheld_lines(agent, now_ns)
    if agent.problem:
        yield "Problem", agent.problem


def withheld_lines(agent: AgentView, now_ns: int) -> Iterator[Line]:
    """What operators have decided, in the order of the reasons, and until when; also maintenance that is only planned."""
    if agent.deactivated:
        yield "Deactivated", f"until `paddock reactivate {agent.info.agent_id}`"
    if drain := agent.drain:
        grace = "" if drain.max_grace_ms is None else f"; tasks have {drain.max_grace_ms} ms at most"
        then = "marked as gone then" if drain.mark_gone else f"until `paddock drain {agent.info.agent_id} --cancel`"
        yield ("Drained" if drain.is_done else "Draining"), f"asked for by {drain.asked_by}{grace}; {then}"
    if window := agent.unavailability:
        begun = "under way" if window.start_ns <= now_ns else f"planned from {moment(window.start_ns)}"
        yield "Maintenance", f"{begun}, until {'it is cancelled' if window.end_ns is None else moment(window.end_ns)}"


def row_of(view: ExplanationView) -> Row:
    """One line: the answer, the other reasons that hold, the answer in words."""
    reasons = view.reasons or (("offered", "an offer is out, or the next cycle makes one"),)
    return Row(
        name=f"{view.framework_id}/{view.role}@{view.agent_id}",
        cells=(
            view.framework_id,
            view.role,
            view.agent_id,
            view.hostname,
            reasons[0][0],
            ", ".join(name for name, _ in reasons[1:]),
            reasons[0][1],
        ),
        document=view.document,
    )
