"""`paddock explain framework` and `paddock explain role`: for each agent why there is no offer."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from paddock.cli.connect import master_of
from paddock.cli.exit_codes import OK
from paddock.cli.output import Column, Row, show

if TYPE_CHECKING:
    from paddock.rpc.clients.explanations import ExplanationView

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
    """`kind`: framework or role."""
    from paddock.rpc.clients.explanations import ExplainClient  # noqa: PLC0415 - loads gRPC

    role, framework_id = (name, arguments.framework) if kind == "role" else (arguments.role, name)
    async with master_of(arguments) as master:
        found = await ExplainClient(master).explain_offers(
            framework_id=framework_id, role=role, agent_id=arguments.agent
        )
    show(COLUMNS, [row_of(view) for view in found], arguments)
    return OK


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
