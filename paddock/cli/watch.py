"""`--watch` of the verbs that list: what is, then each change as it comes, over restarts of the master, until Ctrl-C.

After each connection everything is asked for anew and compared with what was printed: so nothing is missed or said twice,
whatever happened meanwhile and whichever master answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from paddock.cli.connect import master_of
from paddock.cli.output import Column, Row, printable, shown_cells
from paddock.model.errors import NotLeading, OutOfRange, PaddockError, TimedOut, Unavailable

if TYPE_CHECKING:
    from paddock.rpc.clients.watches import Stream, WatchClient


class Told(Protocol):
    """What every view has: the wire's message as JSON text."""

    @property
    def document(self) -> str:
        """One JSON object."""
        ...


View = TypeVar("View", bound=Told)
_LONGEST_PAUSE_S = 5.0
_CHANGE = Column(title="CHANGE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Generic[View]):
    """A kind of thing: its columns, its stream, and how one of them is shown. `order`: of what there is at the beginning.

    `is_hidden`: not shown at the beginning (it has ended already). `may_come_late`: after its start a master hears of them
    one after another, so one that is not there yet is not gone.
    """

    verb: str
    columns: tuple[Column, ...]
    stream: Callable[[WatchClient], Stream[View]]
    row_of: Callable[[View, int], Row]
    order: Callable[[View], object] | None = None
    is_hidden: Callable[[View], bool] = lambda _: False
    may_come_late: bool = False


def add_watch_argument(parser: argparse.ArgumentParser) -> None:
    """-w."""
    parser.add_argument(
        "-w", "--watch", action="store_true", help="then each change as it comes, also over restarts of the master"
    )


class Following(Protocol):
    """A Follower, of whatever it follows."""

    has_begun: bool

    def connected(self, epoch: int) -> None:
        """To the master of this epoch."""

    def lost(self, error: PaddockError) -> None:
        """The connection."""

    async def read(self, client: WatchClient) -> None:
        """Until the stream ends, or raises."""


async def follow(kind: Watched[View], arguments: argparse.Namespace) -> int:
    """Never returns: Ctrl-C ends it. A master that is not there at the beginning is an error; one that goes away is awaited."""
    return await follow_all([Follower(kind, Lines(kind.columns, arguments))], arguments)


async def follow_all(followers: Sequence[Following], arguments: argparse.Namespace) -> int:
    """As `follow`, of several kinds over one connection: when one of their streams ends all begin anew."""
    from paddock.rpc.backoff import Backoff  # noqa: PLC0415 - not for --help
    from paddock.rpc.clients.watches import WatchClient  # noqa: PLC0415 - loads gRPC

    backoff = Backoff(random.Random(), longest_s=_LONGEST_PAUSE_S)
    while True:
        try:
            async with master_of(arguments) as master:
                epoch = await master.get_epoch()
                for follower in followers:
                    follower.connected(epoch)
                backoff.reset()
                await _read_all(followers, WatchClient(master))
        except PaddockError as error:
            if not followers[0].has_begun or not _is_passing(error):
                raise
            for follower in followers:
                follower.lost(error)
        await asyncio.sleep(backoff.next_s())


async def _read_all(followers: Sequence[Following], client: WatchClient) -> None:
    """Raises what the first of them raised that ended, or Unavailable when it ended without."""
    reading = [asyncio.ensure_future(follower.read(client)) for follower in followers]
    try:
        done, _ = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
        raise Unavailable("it has ended the stream")
    finally:
        for each in reading:
            each.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


def _is_passing(error: PaddockError) -> bool:
    """Whether it may be otherwise soon: the master is away, starts, stops, or we were too slow for it."""
    return isinstance(error, Unavailable | NotLeading | TimedOut | OutOfRange)


class Shows(Protocol):
    """Where changes go."""

    def show(self, changes: Iterable[tuple[str, Row]]) -> None:
        """Each a change in one word, and the row."""


class Lines:
    """Prints changes: a table that grows, or with -o json a JSON object in each line, or names."""

    def __init__(self, columns: Sequence[Column], arguments: argparse.Namespace) -> None:
        self._columns = (_CHANGE, *columns)
        self._style: str = arguments.output
        self._header = not arguments.no_headers and self._style in {"table", "wide"}
        self._widths: list[int] = []

    def show(self, changes: Iterable[tuple[str, Row]]) -> None:
        """Each a change in one word, and the row. All at once, so that the first ones stand in line."""
        if self._style == "json":
            text = "".join(
                json.dumps({"change": change, "name": row.name, "now": json.loads(row.document)}) + "\n"
                for change, row in changes
            )
        elif self._style == "name":
            text = "".join(f"{row.name}\n" for _, row in changes)
        else:
            text = self._table([Row(name=row.name, cells=(word, *row.cells), document="") for word, row in changes])
        sys.stdout.write(text)
        sys.stdout.flush()

    def _table(self, rows: Sequence[Row]) -> str:
        lines = shown_cells(self._columns, rows, wide=self._style == "wide", headers=self._header)
        self._header = False
        for line in lines:
            self._widths += [0] * (len(line) - len(self._widths))
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, line, strict=True)]
        return "".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, self._widths, strict=True)).rstrip() + "\n"
            for line in lines
        )


class Follower(Generic[View]):
    """What was printed last of each thing, and what is new about it."""

    def __init__(self, kind: Watched[View], lines: Shows, *, is_silent: bool = False) -> None:
        """`is_silent`: another one, over the same connection, says what happens to it."""
        self._kind, self._lines, self._is_silent = kind, lines, is_silent
        self._known: dict[str, View] = {}
        self._fresh: dict[str, View] | None = None
        self._epoch = 0
        self._is_lost = False
        self.has_begun = False
        """Whether a master has answered."""

    def connected(self, epoch: int) -> None:
        """To the master of this epoch; what is there comes next."""
        if self._is_lost:
            again = f"the master has started again (epoch {epoch})" if epoch != self._epoch else "connected again"
            self._say(f"{again}; what has changed meanwhile comes next")
        self._epoch, self._fresh, self._is_lost, self.has_begun = epoch, {}, False, True

    def lost(self, error: PaddockError) -> None:
        """Said once, however long it takes."""
        if not self._is_lost:
            self._say(f"no connection to the master, waiting for it: {error}")
        self._is_lost = True

    async def read(self, client: WatchClient) -> None:
        """Until the stream ends, or raises."""
        async for seen in self._kind.stream(client):
            self.see(seen)

    def _say(self, words: str) -> None:
        if self._is_silent:
            return
        print(f"paddock {self._kind.verb}: {printable(' '.join(words.split()))}", file=sys.stderr, flush=True)

    def see(self, seen: tuple[str, View | None] | None) -> None:
        """What the stream said. What there is comes out at its bookmark, together."""
        if seen is None:
            self._compare()
            return
        key, view = seen
        if self._fresh is None:
            self._lines.show(self._changes({key: view}))
        elif view is None:
            self._fresh.pop(key, None)
        else:
            self._fresh[key] = view

    def _compare(self) -> None:
        fresh, self._fresh = self._fresh, None
        if fresh is None:
            return
        if not self._known:
            fresh = dict(sorted(fresh.items(), key=lambda item: self._place(*item)))  # type: ignore[arg-type, return-value]
            shown = {key: view for key, view in fresh.items() if not self._kind.is_hidden(view)}
            self._known = fresh
            now_ns = time.time_ns()
            self._lines.show([("there", self._kind.row_of(view, now_ns)) for view in shown.values()])
            return
        gone = {} if self._kind.may_come_late else dict.fromkeys(self._known.keys() - fresh.keys())
        self._lines.show(self._changes({**fresh, **gone}))

    def _place(self, key: str, view: View) -> object:
        return key if self._kind.order is None else self._kind.order(view)

    def _changes(self, now: dict[str, View | None] | dict[str, View]) -> list[tuple[str, Row]]:
        """What differs from what was printed; of what is gone the last that was known of it."""
        changes: list[tuple[str, Row]] = []
        now_ns = time.time_ns()
        for key, view in now.items():
            before = self._known.get(key)
            if view is None:
                if before is not None:
                    changes.append(("gone", self._kind.row_of(before, now_ns)))
                    del self._known[key]
            elif before is None or json.loads(before.document) != json.loads(view.document):
                changes.append(("new" if before is None else "changed", self._kind.row_of(view, now_ns)))
                self._known[key] = view
        return changes
