"""`paddock doctor`: everything of ours on this host, and what is out of place. Needs no daemon."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from paddock.cli.connect import DEFAULT_MASTER
from paddock.cli.exit_codes import FAILURE, OK
from paddock.cli.output import Column, Row, add_style_arguments, show
from paddock.cli.quantities import duration_ms
from paddock.model.errors import InvalidRequest, PaddockError, PermissionRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paddock.doctor.finding import Finding
    from paddock.doctor.reading import HostReader

COLUMNS = (
    Column(title="VERDICT"),
    Column(title="KIND"),
    Column(title="NAME"),
    Column(title="AGENT"),
    Column(title="WHY"),
    Column(title="REMEDY"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    add_host_arguments(parser)
    add_style_arguments(parser)


def add_host_arguments(parser: argparse.ArgumentParser) -> None:
    """Where agents are looked for, and what is too young to be judged."""
    parser.add_argument(
        "--state-dir",
        metavar="PATH",
        action="append",
        default=[],
        help="look at this agent only (repeatable; default: the configured one, and those whose launchers run)",
    )
    parser.add_argument(
        "--min-age",
        metavar="DURATION",
        default="1m",
        help="what has changed since then is not judged: it may be under way (default: 1m)",
    )


async def run(arguments: argparse.Namespace) -> int:
    """0: everything is in its place, 1: something is not."""
    from paddock.doctor.finding import Verdict  # noqa: PLC0415 - not for --help
    from paddock.doctor.judging import judge  # noqa: PLC0415 - the same
    from paddock.doctor.judging_surroundings import judge_surroundings  # noqa: PLC0415 - the same
    from paddock.doctor.surroundings import read_surroundings  # noqa: PLC0415 - the same

    reader = host_reader(arguments)
    host, masters = reader.read(), tuple(dict.fromkeys((*reader.masters, *_of_this_host())))
    roots = [root for agent in host.agents if agent.state_dir for root in agent.cgroup_roots]
    findings = [*judge_surroundings(read_surroundings(roots, masters)), *await cluster_of(masters)]
    findings += judge(host, min_age_s=duration_ms(arguments.min_age, "--min-age") / 1000)
    show(COLUMNS, [row_of(each) for each in findings], arguments)
    wrong = [each for each in findings if each.verdict is Verdict.WRONG]
    if wrong:
        print(f"paddock doctor: {len(wrong)} of {len(findings)} things are out of place", file=sys.stderr)
    return FAILURE if wrong else OK


def _of_this_host() -> tuple[str, ...]:
    """The master's address where masterd is installed and was not stopped: its host may have no agent that names it."""
    return (DEFAULT_MASTER,) if os.path.exists(DEFAULT_MASTER.removeprefix("unix:")) else ()


async def cluster_of(masters: Sequence[str]) -> list[Finding]:
    """Whether each agent that has a TCP address can be dialled from here (`logs` and `exec` on this host need it), and what
    time it is on the hosts of master and agents.
    """
    from paddock.doctor.clocks import read_clocks  # noqa: PLC0415 - loads gRPC
    from paddock.doctor.judging_surroundings import of_clock, of_reached  # noqa: PLC0415 - not for --help
    from paddock.doctor.surroundings import reach  # noqa: PLC0415 - the same
    from paddock.rpc.address import parse_address  # noqa: PLC0415 - the same

    agents = await _agents_elsewhere(masters)
    # Who is reached by a socket of this host's has this host's clock.
    asked = [("master", each) for each in masters if not parse_address(each, "master").unix_path]
    asked += [("agent", each) for each in agents]
    return [
        *(of_reached(reach("agent", each)) for each in agents),
        *(of_clock(each) for each in await read_clocks(asked)),
    ]


async def _agents_elsewhere(masters: Sequence[str]) -> list[str]:
    import asyncio  # noqa: PLC0415 - not for --help

    from paddock.doctor.surroundings import CONNECT_TIMEOUT_S  # noqa: PLC0415 - the same
    from paddock.rpc.clients.master import connect_master  # noqa: PLC0415 - loads gRPC

    if not masters:
        return []
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S), connect_master(tuple(masters)) as master:
            agents = await master.list_agents()
    except (PaddockError, TimeoutError):
        # That a master is not there is a line of its own; one that answers root only on its own host is in order.
        return []
    return [each.info.tcp_address for each in agents if each.info.tcp_address]


def examine(arguments: argparse.Namespace) -> tuple[Finding, ...]:
    """What agents have left. Raises PermissionRefused, InvalidRequest."""
    from paddock.doctor.judging import judge  # noqa: PLC0415 - not for --help

    min_age_s = duration_ms(arguments.min_age, "--min-age") / 1000
    return judge(host_reader(arguments).read(), min_age_s=min_age_s)


def host_reader(arguments: argparse.Namespace) -> HostReader:
    """For the agents that were named. Raises PermissionRefused, InvalidRequest."""
    from paddock.doctor.reading import HostReader  # noqa: PLC0415 - not for --help

    for path in arguments.state_dir:
        if not path.startswith("/") or not os.path.isfile(f"{path}/agent-id"):
            raise InvalidRequest("--state-dir", path, "name a directory in which an agent has its state (agent-id)")
    if os.geteuid() != 0:
        raise PermissionRefused("what agents have on this host is root's to see: run it as root")
    return HostReader([os.path.realpath(path) for path in arguments.state_dir])


def row_of(finding: Finding) -> Row:
    """One line."""
    cells = (finding.verdict.value, finding.kind, finding.name, finding.agent_id, finding.why, finding.remedy)
    return Row(name=finding.name, cells=cells, document=json.dumps(document_of(finding), indent=2))


def document_of(finding: Finding) -> dict[str, object]:
    """For programs: `removable` says whether `paddock gc` would remove it."""
    return {
        "verdict": finding.verdict.value,
        "kind": finding.kind,
        "name": finding.name,
        "agent_id": finding.agent_id,
        "why": finding.why,
        "remedy": finding.remedy,
        "removable": finding.removal is not None,
    }
