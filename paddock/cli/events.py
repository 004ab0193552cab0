"""`paddock events`: everything that happens in the cluster, a line each, as it happens, until Ctrl-C.

It is what `--watch` of the lists tells, of all of them over one connection, without what was there before; of what changed only
what is different now. Several changes of an agent, a framework, a role or an offer within half a second come as one; of a task
each state comes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Protocol

from paddock.cli import agents, frameworks, offers, ps, roles
from paddock.cli.connect import add_master_argument
from paddock.cli.output import Column, Row, add_style_arguments, moment, printable
from paddock.cli.watch import Follower, Following, View, Watched, follow_all

if TYPE_CHECKING:
    from paddock.rpc.clients.policy import RoleView
    from paddock.rpc.clients.views import AgentView, FrameworkView, OfferView, TaskView
    from paddock.rpc.clients.watches import WatchClient

KINDS = ("task", "agent", "framework", "offer", "role")
_OLD_NEWS = "there"
_NO_NEWS = frozenset({"AGE", "OFFERS", "OFFERED"})
"""Columns that differ by the time alone, or because of an offer, which is an event of its own."""

_ARROW = "→"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be told of. Empty: of all. Ids may be their beginnings, an agent may be its host's name."""

    kinds: tuple[str, ...] = ()
    task: str = ""
    framework: str = ""
    agent: str = ""
    role: str = ""

    def is_about(
        self,
        *,
        task: str = "",
        framework_ids: Iterable[str] = (),
        agents: Iterable[str] = (),
        roles: Iterable[str] = (),
    ) -> bool:
        """Whether a thing that has to do with these is wanted. One that has to do with no task is not wanted with a task."""
        return (
            task.startswith(self.task)
            and (not self.framework or any(each.startswith(self.framework) for each in framework_ids))
            and (not self.agent or any(each.startswith(self.agent) for each in agents))
            and (not self.role or self.role in roles)
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    kinds = ", ".join(KINDS)
    parser.add_argument("--kind", metavar="KIND,…", type=_kinds, default=(), help=f"of these only: {kinds}")
    parser.add_argument("--task", metavar="TASK", default="", help="of this task only")
    parser.add_argument("--framework", metavar="ID", default="", help="of this framework, its tasks and offers only")
    parser.add_argument("--agent", metavar="AGENT", default="", help="of this agent or host, its tasks and offers only")
    parser.add_argument(
        "--role", metavar="ROLE", default="", help="of this role, its frameworks, tasks and offers only"
    )
    add_style_arguments(parser)
    add_master_argument(parser)


def _kinds(text: str) -> tuple[str, ...]:
    words = tuple(word.removesuffix("s") for word in text.split(","))
    unknown = [word for word in words if word not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(KINDS)}")
    return words


async def run(arguments: argparse.Namespace) -> int:
    """Never returns."""
    wanted = Wanted(
        kinds=arguments.kind,
        task=arguments.task,
        framework=arguments.framework,
        agent=arguments.agent,
        role=arguments.role,
    )
    return await follow_all(followers_of(wanted, Printer(arguments)), arguments)


def followers_of(wanted: Wanted, printer: Printer) -> list[Following]:
    """One for each kind; the first one speaks of the connection."""
    sources: tuple[_Source, ...] = (
        _SourceOf(kind="task", watched=ps.watched("", include_ended=True), is_wanted=_of_task),
        _SourceOf(kind="agent", watched=agents.WATCHED, is_wanted=_of_agent),
        _SourceOf(kind="framework", watched=frameworks.watched(include_ended=True), is_wanted=_of_framework),
        _SourceOf(kind="offer", watched=offers.WATCHED, is_wanted=_of_offer),
        _SourceOf(kind="role", watched=roles.WATCHED, is_wanted=_of_role),
    )
    chosen = [source for source in sources if not wanted.kinds or source.kind in wanted.kinds]
    return [source.follower(wanted, printer, is_silent=place > 0) for place, source in enumerate(chosen)]


class _Source(Protocol):
    @property
    def kind(self) -> str: ...

    def follower(self, wanted: Wanted, printer: Printer, *, is_silent: bool) -> Following: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _SourceOf(Generic[View]):
    """One kind of thing: how its list is watched, and which of them are wanted."""

    kind: str
    watched: Watched[View]
    is_wanted: Callable[[Wanted, View], bool]

    def follower(self, wanted: Wanted, printer: Printer, *, is_silent: bool) -> Following:
        """What prints its events."""
        watched, is_wanted = self.watched, self.is_wanted

        async def stream(client: WatchClient) -> AsyncIterator[tuple[str, View | None] | None]:
            async for seen in watched.stream(client):
                # What goes is passed on: of what was never told nobody says that it is gone.
                if seen is None or seen[1] is None or is_wanted(wanted, seen[1]):
                    yield seen

        lines = EventLines(self.kind, watched.columns, printer)
        return Follower(replace(watched, verb="events", stream=stream), lines, is_silent=is_silent)


def _of_task(wanted: Wanted, view: TaskView) -> bool:
    return wanted.is_about(
        task=view.task.task_id,
        framework_ids=(view.framework_id,),
        agents=(view.agent_id, view.hostname),
        roles=(view.role,),
    )


def _of_agent(wanted: Wanted, view: AgentView) -> bool:
    return wanted.is_about(agents=(view.info.agent_id, view.info.hostname))


def _of_framework(wanted: Wanted, view: FrameworkView) -> bool:
    return wanted.is_about(framework_ids=(view.info.framework_id,), roles=view.info.roles)


def _of_offer(wanted: Wanted, view: OfferView) -> bool:
    offer = view.offer
    return wanted.is_about(
        framework_ids=(offer.framework_id,), agents=(offer.agent_id, offer.hostname), roles=(offer.role,)
    )


def _of_role(wanted: Wanted, view: RoleView) -> bool:
    return wanted.is_about(framework_ids=view.framework_ids, roles=(view.role,))


class Printer:
    """One line for each event, of whatever kind; in what programs read is the whole thing."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._style: str = arguments.output
        self._header: bool = not arguments.no_headers and self.is_for_people
        self._beginning: set[str] = set()

    def expect(self, kind: str) -> None:
        """It will begin."""
        self._beginning.add(kind)

    def begun(self, kind: str) -> None:
        """From now on each of its events is told. The header comes when that is true of all."""
        self._beginning.discard(kind)
        if self._header and not self._beginning:
            self._header = False
            sys.stdout.write(_line("TIME", "KIND", "CHANGE", "NAME", "WHAT"))
            sys.stdout.flush()

    @property
    def is_for_people(self) -> bool:
        """They want to see what is different, and no line when nothing is."""
        return self._style in {"table", "wide"}

    @property
    def is_wide(self) -> bool:
        """Whether of what is new all is told."""
        return self._style == "wide"

    def tell(self, kind: str, change: str, row: Row, what: str) -> None:
        """Now."""
        at = moment(time.time_ns())
        if self._style == "json":
            whole = {"time": at, "kind": kind, "change": change, "name": row.name, "now": json.loads(row.document)}
            line = json.dumps(whole)
        elif self._style == "name":
            line = f"{kind}/{row.name}"
        else:
            line = _line(at, kind, change, printable(row.name), printable(" ".join(what.split()))).rstrip("\n")
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _line(at: str, kind: str, change: str, name: str, what: str) -> str:
    return f"{at:<24}  {kind:<9}  {change:<7}  {name:<24}  {what}".rstrip() + "\n"


class EventLines:
    """What is different now, of one kind: it keeps what was told last of each."""

    def __init__(self, kind: str, columns: Sequence[Column], printer: Printer) -> None:
        self._kind, self._columns, self._printer = kind, columns, printer
        self._told: dict[tuple[str, str], tuple[str, ...]] = {}
        printer.expect(kind)

    def show(self, changes: Iterable[tuple[str, Row]]) -> None:
        """What was there when we came is no event."""
        for change, row in changes:
            # Two frameworks may give their tasks the same id.
            key = (row.name, str(json.loads(row.document).get("framework_id", "")))
            before = self._told.pop(key, None)
            if change != "gone":
                self._told[key] = row.cells
            what = self._what(change, before, row.cells)
            is_seen = change != "changed" or what or not self._printer.is_for_people
            if change != _OLD_NEWS and is_seen:
                self._printer.tell(self._kind, change, row, what)
        self._printer.begun(self._kind)

    def _what(self, change: str, before: tuple[str, ...] | None, cells: tuple[str, ...]) -> str:
        if change == "gone":
            return ""
        words = []
        for place, column in enumerate(self._columns[1:], start=1):
            cell, was = cells[place], before[place] if before is not None else ""
            if column.title in _NO_NEWS:
                continue
            name = column.title.lower().replace(" ", "_")
            if before is None:
                if cell and (self._printer.is_wide or not column.wide):
                    words.append(f"{name}={cell}")
            elif cell != was:
                words.append(f"{name}={was or '-'}{_ARROW}{cell or '-'}")
        return " ".join(words)
