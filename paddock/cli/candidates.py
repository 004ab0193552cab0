"""What a word on the command line may become: asked by the shells' completion, answered from the verbs' own parsers.

Ids come from the master, on demand; one that does not answer at once means: no candidates. Nothing is ever said on stderr.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence

from paddock.cli.connect import DEFAULT_MASTER, VARIABLE
from paddock.cli.output import printable

FILES = 3
"""The exit code that means: names of files belong here, which the shell knows better."""

Candidate = tuple[str, str]
"""A word, and what it is."""

_ParserOf = Callable[[str], argparse.ArgumentParser | None]

_MASTER_TIMEOUT_S = 2.0
_PATHS = frozenset({"PATH", "DIR", "SCENARIO", "RECORDING"})
_TASKS = frozenset({"TASK", "TASK|CONTAINER", "WHAT"})
_FRAMEWORKS = frozenset({"ID", "FRAMEWORK"})
_TO_RUNNING_TASKS = frozenset({"kill", "exec", "update"})
_SAFE = re.compile(r"[A-Za-z0-9._:@%+=,/-]+", re.ASCII)


class _Files(Exception):
    """Names of files belong here."""


def print_candidates(words: Sequence[str], verbs: Sequence[Candidate], parser_of: _ParserOf) -> int:
    """`words`: what stands after `paddock` up to the cursor; the last is the one to complete."""
    current = words[-1] if words else ""
    try:
        found = candidates(list(words[:-1]), current, verbs, parser_of)
    except _Files:
        return FILES
    # A task's name is a stranger's word: what a shell would read as more than a word is not put on anybody's line.
    fitting = [each for each in found if each[0].startswith(current) and _SAFE.fullmatch(each[0])]
    sys.stdout.write("".join(f"{word}\t{printable(' '.join(what.split()))}\n" for word, what in fitting))
    return 0


def candidates(
    before: list[str], current: str, verbs: Sequence[Candidate], parser_of: _ParserOf
) -> Sequence[Candidate]:
    """All that may stand where `current` stands. Raises _Files."""
    master = _master_among(before)
    before = _without_master(before)
    if not before:
        return [*verbs, ("--help", "list the verbs"), ("--version", "say the version"), ("--master", "which master")]
    verb = before[0]
    if "--" in before or (parser := parser_of(verb)) is None:
        raise _Files
    place = _Place(parser)
    for word in before[1:]:
        place.pass_over(word)
    flag, equals, _ = current.partition("=")
    if equals and place.awaited is None and (action := place.option(flag)) is not None:
        return [(f"{flag}={word}", what) for word, what in _values(action, verb, master)]
    if place.awaited is not None:
        return _values(place.awaited, verb, master)
    if current.startswith("-"):
        return place.options()
    action = place.positional()
    return [] if action is None else _values(action, verb, master)


class _Place:
    """Where on a verb's line the cursor is."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.awaited: argparse.Action | None = None
        """The option whose value comes next."""
        self._enter(parser)

    def _enter(self, parser: argparse.ArgumentParser) -> None:
        self._actions: list[argparse.Action] = parser._actions
        self._positionals = [action for action in self._actions if not action.option_strings]
        self._passed_count = 0

    def pass_over(self, word: str) -> None:
        """A word that is complete."""
        if self.awaited is not None:
            self.awaited = None
        elif word.startswith("-"):
            action = self.option(word)
            self.awaited = action if action is not None and action.nargs != 0 else None
        else:
            action = self.positional()
            self._passed_count += 1
            if isinstance(action, argparse._SubParsersAction) and word in action.choices:
                self._enter(action.choices[word])

    def option(self, flag: str) -> argparse.Action | None:
        """The option of this name."""
        return next((action for action in self._actions if flag in action.option_strings), None)

    def options(self) -> list[Candidate]:
        """Every option, by its longest name."""
        shown = [action for action in self._actions if action.option_strings]
        return [(max(action.option_strings, key=len), help_of(action)) for action in shown]

    def positional(self) -> argparse.Action | None:
        """The argument that comes next; the last one when it takes many."""
        if self._passed_count < len(self._positionals):
            return self._positionals[self._passed_count]
        many = self._positionals and self._positionals[-1].nargs in {"+", "*"}
        return self._positionals[-1] if many else None


def help_of(action: argparse.Action) -> str:
    """An argument's words."""
    return (action.help or "") % {"default": action.default, "dest": action.dest}


def _values(action: argparse.Action, verb: str, master: str) -> Sequence[Candidate]:
    if isinstance(action, argparse._SubParsersAction):
        return [(each.dest, each.help or "") for each in action._choices_actions]
    if action.choices is not None:
        return [(str(choice), "") for choice in action.choices]
    kind = action.metavar if isinstance(action.metavar, str) else ""
    if kind in _PATHS:
        raise _Files
    if kind == "SIGNAL":
        from signal import Signals  # noqa: PLC0415 - the kernel's names; only here

        return [(each.name, "") for each in Signals]
    return _ids(kind, verb, master)


def _ids(kind: str, verb: str, master: str) -> Sequence[Candidate]:
    if kind not in {*_TASKS, *_FRAMEWORKS, "AGENT", "HOST", "ROLE"}:
        return []
    import asyncio  # noqa: PLC0415 - takes longer to load than all else here

    from paddock.model.errors import PaddockError  # noqa: PLC0415 - the same

    addresses = tuple(part.strip() for part in master.split(",") if part.strip())
    try:
        return asyncio.run(asyncio.wait_for(_ask(kind, verb, addresses), _MASTER_TIMEOUT_S))
    except (PaddockError, OSError, TimeoutError):
        return []


async def _ask(kind: str, verb: str, addresses: tuple[str, ...]) -> Sequence[Candidate]:
    from paddock.rpc.clients.master import connect_master  # noqa: PLC0415 - loads gRPC

    async with connect_master(addresses) as master:
        if kind in _TASKS:
            tasks = await master.list_tasks(include_terminated=verb not in _TO_RUNNING_TASKS)
            return [(each.task.task_id, f"{each.task.name} {each.state.name.lower()}") for each in tasks]
        if kind in _FRAMEWORKS:
            return [(each.info.framework_id, each.info.name) for each in await master.list_frameworks()]
        if kind == "ROLE":
            frameworks = await master.list_frameworks()
            return sorted({(role, "") for each in frameworks for role in each.info.roles})
        agents = [each.info for each in await master.list_agents()]
        hosts = [(each.hostname, "") for each in agents]
        return hosts if kind == "HOST" else [*((each.agent_id, each.hostname) for each in agents), *hosts]


def _master_among(words: Sequence[str]) -> str:
    for index, word in enumerate(words):
        if word.startswith("--master="):
            return word.partition("=")[2]
        if word == "--master" and index + 1 < len(words):
            return words[index + 1]
    return os.environ.get(VARIABLE) or DEFAULT_MASTER


def _without_master(words: list[str]) -> list[str]:
    """It may stand before the verb."""
    if words and words[0] == "--master":
        return words[2:]
    return words[1:] if words and words[0].startswith("--master=") else words
