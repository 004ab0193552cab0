"""The `paddock` command's entry: finds the verb, and turns what went wrong into one sentence and an exit code.

A verb's module is imported only when it is asked for, and gRPC only when a verb calls: `paddock --help` stays quick.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, cast

from paddock import __version__
from paddock.cli import contributed
from paddock.cli.exit_codes import BROKEN_PIPE, INTERRUPTED, OK, USAGE
from paddock.rpc.environment import prepare_environment

_GROUPS = {
    "The cluster": {
        "status": "tell how the cluster is: who is there, what runs, what is free",
        "events": "tell everything that happens to tasks, agents, frameworks, offers and roles, as it happens",
        "top": "show what tasks or agents use, or roles have, again and again",
    },
    "Tasks": {
        "run": "run a command in the cluster, stream its output, return its exit code",
        "ps": "list tasks",
        "describe": "tell everything about a task, for people",
        "explain": "tell what is in force on a task and how close it is, or why a framework, a role or an agent gets no offer",
        "inspect": "print everything about a task as JSON",
        "logs": "print or follow a task's output",
        "wait": "wait for a task's end and return its exit code",
        "exec": "run a further command inside a running task",
        "update": "change the size of a running task or container",
        "kill": "stop a task: a signal, and SIGKILL after the grace period",
    },
    "Agents": {
        "agents": "list agents and what is free on them",
        "drain": "empty an agent: no offers, its tasks killed; --cancel uses it again",
        "deactivate": "take an agent out of use; what runs there goes on",
        "reactivate": "use an agent again that was deactivated",
        "maintenance": "list, schedule or cancel times when hosts are not available",
        "gone": "say that an agent never comes back, nor its tasks",
    },
    "Frameworks": {
        "frameworks": "list frameworks",
        "offers": "list the offers that frameworks hold",
        "teardown": "end a framework for good, and all its tasks",
    },
    "Roles": {
        "roles": "list roles with their weights, quotas, reservations and shares",
        "quota": "list, set, remove or plan what roles are guaranteed and limited to",
        "weights": "list or set how roles' shares compare",
        "reservations": "list what is reserved at run time, by whom and until when",
        "reserve": "keep free resources of an agent for a role",
        "unreserve": "give back what was reserved at run time",
        "volumes": "list, create, destroy, grow or shrink persistent volumes",
    },
    "This host": {
        "doctor": "list everything of Paddock on this host, and what is out of place",
        "gc": "remove what is out of place on this host and provably ours",
        "completion": "print the script by which bash, zsh or fish completes lines of this command",
    },
}
VERBS = {verb: summary for group in _GROUPS.values() for verb, summary in group.items()}
"""Verb → one line for --help. The module paddock.cli.<verb> has add_arguments and run. Further ones are contributed."""

_WITH_COMMAND = frozenset({"run", "exec"})
_ALIKE = 0.65
_COMPLETE = "__complete"
"""What the scripts of paddock.cli.completion call."""


class Verb(Protocol):
    """What each verb's module offers."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Awaitable[int]]


def listed_verbs() -> list[tuple[str, str]]:
    """Each with its one line, the contributed ones too."""
    return [*VERBS.items(), *contributed.summaries(tuple(VERBS)).items()]


def overview() -> str:
    """What `paddock --help` prints."""
    groups = {**_GROUPS, "Further": contributed.summaries(tuple(VERBS))}
    width = max(len(verb) for group in groups.values() for verb in group)
    lines = []
    for heading, group in groups.items():
        if group:
            lines += [f"{heading}:", *(f"  {verb:<{width}}  {summary}" for verb, summary in group.items()), ""]
    return "\n".join(
        (
            "usage: paddock VERB [ARGUMENT…]",
            "",
            "Run tasks on a cluster of Linux machines, each inside its own bounds.",
            "",
            *lines,
            "paddock VERB --help tells a verb's arguments. --master ADDRESS or PADDOCK_MASTER says which master.",
        )
    )


def find(verb: str) -> tuple[Verb, str] | None:
    """The verb's module and summary. None: nobody has it. Raises ImportError when a package's cannot be used."""
    if verb in VERBS:
        return cast("Verb", importlib.import_module(f"paddock.cli.{verb}")), VERBS[verb]
    offers = contributed.offers()
    offer = next((each for each in offers if each.verb == verb), None)
    if offer is None:
        return None
    if wrong := contributed.problem(verb, offers, built_in=False):
        raise ImportError(wrong)
    module = contributed.load(offer)
    return cast("Verb", module), str(module.SUMMARY)


def parser_of(verb: str, module: Verb, summary: str) -> argparse.ArgumentParser:
    """The verb's parser."""
    parser = argparse.ArgumentParser(
        prog=f"paddock {verb}",
        description=summary[0].upper() + summary[1:] + ".",
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. Returns the exit code; raises SystemExit only where argparse does (usage: 2, help: 0)."""
    _open_what_is_closed()
    try:
        return _main(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        # Also while it still loads what it needs.
        return INTERRUPTED


def _open_what_is_closed() -> None:
    """`paddock ps >&-`: what was closed leads nowhere, and no socket of ours takes its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _main(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        print(overview(), file=sys.stdout if words else sys.stderr)
        return OK if words else USAGE
    if words[0] in {"--version", "version"}:
        print(f"paddock {__version__}")
        return OK
    prepare_environment()
    if words[0] == _COMPLETE:
        return _complete(words[1:])
    words = _verb_first(words)
    verb = words[0]
    try:
        found = find(verb)
    except ImportError as error:
        if verb in VERBS:
            raise
        print(f"paddock: the verb {verb!r} cannot be used: {error}", file=sys.stderr)
        return USAGE
    if found is None:
        print(f"paddock: {_unknown(verb)}", file=sys.stderr)
        return USAGE
    module, summary = found
    if foreign := next((word for word in words if not _is_utf8(word)), ""):
        # No message can carry it: protobuf's text is UTF-8.
        print(f"paddock {verb}: argument: {os.fsencode(foreign)!r} is not accepted: write it in UTF-8", file=sys.stderr)
        return USAGE
    rest = words[1:]
    # What stands after -- is the task's, whatever it looks like; argparse would take part of it.
    separator = rest.index("--") if verb in _WITH_COMMAND and "--" in rest else len(rest)
    parser = parser_of(verb, module, summary)
    if empty := next((word for word in rest[:separator] if word.startswith("-") and word.endswith("=--")), ""):
        # argparse would drop it, and give an empty list in place of a text.
        print(f"paddock {verb}: {empty[:-3]}: '--' is not accepted: it stands before a command", file=sys.stderr)
        return USAGE
    arguments_of_verb, unknown = parser.parse_known_args(rest[:separator])
    if unknown:
        parser.error(_unrecognized(verb, parser, unknown, separated=separator < len(rest)))
    arguments_of_verb.command = rest[separator + 1 :]
    return _run(verb, module, arguments_of_verb)


def _is_utf8(word: str) -> bool:
    """Bytes of the command line that are not come as surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


def _complete(words: list[str]) -> int:
    from paddock.cli.candidates import print_candidates  # noqa: PLC0415 - no other verb needs it

    def parser(verb: str) -> argparse.ArgumentParser | None:
        try:
            found = find(verb)
        except ImportError:
            return None
        return None if found is None else parser_of(verb, *found)

    return print_candidates(words, listed_verbs(), parser)


def _verb_first(words: list[str]) -> list[str]:
    """--master is every verb's, so it may stand before the verb too."""
    taken = 2 if words[0] == "--master" else 1 if words[0].startswith("--master=") else 0
    return [*words[taken : taken + 1], *words[:taken], *words[taken + 1 :]] if len(words) > taken else words


def _unrecognized(verb: str, parser: argparse.ArgumentParser, unknown: list[str], *, separated: bool) -> str:
    if verb in _WITH_COMMAND and not separated and not unknown[0].startswith("-"):
        return f"write the command after --, as in: -- {' '.join(unknown)}"
    flag = next((word.partition("=")[0] for word in unknown if word.startswith("--")), "")
    if not flag:
        return f"unrecognized arguments: {' '.join(unknown)}; `paddock {verb} --help` lists them"
    import difflib  # noqa: PLC0415 - only a mistyped flag pays for it

    names = [name for action in parser._actions for name in action.option_strings]  # noqa: SLF001 - it has no other list
    known = [name[2:] for name in names if name.startswith("--")]
    # The dashes are not compared: --rm is not --uri because both have them.
    nearest = difflib.get_close_matches(flag[2:], known, n=1, cutoff=_ALIKE)
    nearest += [name for name in known if name.startswith(flag[2:])]
    hint = f"did you mean --{nearest[0]}?" if nearest else f"`paddock {verb} --help` lists the flags"
    return f"there is no flag {flag}; {hint}"


def _unknown(verb: str) -> str:
    import difflib  # noqa: PLC0415 - only a mistyped verb pays for it

    nearest = difflib.get_close_matches(verb, [*VERBS, *(each.verb for each in contributed.offers())], n=1)
    hint = f"did you mean `paddock {nearest[0]}`?" if nearest else "`paddock --help` lists the verbs"
    return f"there is no verb {verb!r}; {hint}"


def _run(verb: str, module: Verb, arguments: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415 - not for --help: it takes longer to load than all else
    import logging  # noqa: PLC0415 - the same

    from paddock.cli.outcome import exit_code_of, sentence_of  # noqa: PLC0415 - the same
    from paddock.model.errors import PaddockError  # noqa: PLC0415 - the same

    # The libraries' log lines are for daemons; a person reads sentences.
    logging.getLogger().addHandler(logging.NullHandler())

    async def call() -> int:
        return await module.run(arguments)

    try:
        code = asyncio.run(call())
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (`paddock ps | head -1`): nothing more to say, and Python shall not say it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (PaddockError, OSError, TimeoutError) as error:
        print(f"paddock {verb}: {sentence_of(error)}", file=sys.stderr)
        return exit_code_of(error)
    return code


if __name__ == "__main__":
    sys.exit(main())
