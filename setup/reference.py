"""`python -m setup.reference` writes docs/reference/ from the code; a test holds the pages to it.

Settings from the daemons' settings classes, commands from the parsers, services from the .proto files, codes and states from
their tables. What stands here besides is what those do not say: a sentence for each exit code and each state.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import agentd.config
import masterd.config
from paddock.cli import exit_codes
from paddock.cli.__main__ import find, listed_verbs, parser_of
from paddock.cli.candidates import help_of
from paddock.daemon.settings import spec_of
from paddock.model.task import TaskState
from setup.manual import form_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ROOT = Path(__file__).parent.parent
DIRECTORY = ROOT / "docs/reference"
_PROTO = ROOT / "proto/paddock/wire/v1"
_PRINTED = "Printed by `python -m setup.reference` from the code.\n"

_EXIT_CODES = {
    "OK": "done",
    "FAILURE": "a failure that has no code of its own; of `doctor` and `gc`: something is out of place, or stays",
    "USAGE": "an argument, or a value that could never be accepted",
    "NOT_FOUND": "there is no such task, agent, framework, container",
    "CONFLICT": "what is there does not allow it: an ambiguous prefix, a task that has ended, more than is free",
    "PERMISSION": "the caller may not",
    "UNAVAILABLE": "no master leads, or an agent cannot be reached: it may be tried again",
    "TIMED_OUT": "time-out: `--timeout`, `--offer-timeout`",
    "NOT_RUN": "`run`, `wait`: Paddock could not run the task",
    "NOT_EXECUTABLE": "`run`, `wait`, `exec`: the command cannot be executed",
    "NO_SUCH_COMMAND": "`run`, `wait`, `exec`: the command is not there",
    "INTERRUPTED": "Ctrl-C; it is how `top`, `logs -f`, `--watch` end",
    "BROKEN_PIPE": "whoever read the output has gone",
}
_STATES = {
    TaskState.STAGING: "the master has taken it, and the agent is making its container",
    TaskState.STARTING: "its container is there, its command is not yet started",
    TaskState.RUNNING: "its command runs",
    TaskState.KILLING: "it was told to end, and has its grace period",
    TaskState.FINISHED: "its command has ended with exit code 0",
    TaskState.FAILED: "its command has ended in another way, or could not be started",
    TaskState.KILLED: "it was ended because somebody asked for it",
    TaskState.ERROR: "it could never run: the message names the field",
    TaskState.LOST: "it is not known to run any more; told to frameworks that are not PARTITION_AWARE, for the five below",
    TaskState.DROPPED: "it was never launched",
    TaskState.UNREACHABLE: "its agent does not answer; it may still run, and come back",
    TaskState.GONE: "it does not run any more, and nobody saw how it ended",
    TaskState.GONE_BY_OPERATOR: "an operator has said that its agent never comes back",
    TaskState.UNKNOWN: "the master knows nothing of it",
}

_OF_CONFIGURATION = """\
A setting has one name everywhere: `state_dir` in the file, `--state-dir` (or `--state_dir`) as a flag,
`PADDOCK_AGENTD_STATE_DIR` in agentd's environment. The file is `/etc/paddock/agentd.toml`, then come `conf.d/*.toml` beside it;
the environment wins over them, and flags over all. SIZE has a unit (B, KiB, MiB, GiB, TiB), DURATION too (ms, s, m, h, d; as
in Mesos secs, mins, hrs, days, weeks). An unknown name is an error; `--check-config` says every problem. *reload*: SIGHUP is
enough; *restart*: it is in force from the next start on, and tasks live through that."""
_OF_SERVICES = """\
`paddock.wire.v1`, gRPC. Both daemons serve health, reflection and what is here; messages and fields are explained where they
are declared, in `proto/paddock/wire/v1/`. *stream*: that side sends any number of messages."""
_OF_STATES = """\
As the wire names them: `TASK_RUNNING`. Why a task is in its state is told by its [reason](../reasons.md). Which state may
follow which: [states](../states.md). A terminal state is a task's last; each task has exactly one.
"""


def pages() -> dict[str, str]:
    """File name → the whole page."""
    # argparse wraps at the terminal's width.
    os.environ["COLUMNS"] = "100"
    return {
        "configuration.md": _page("Configuration", _configuration()),
        "commands.md": _page("Commands", _commands()),
        "services.md": _page("Services", _services()),
        "exit-codes.md": _page("Exit codes", _exit_codes()),
        "states.md": _page("States of tasks", _states()),
    }


def _page(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"# {title}", "", _PRINTED, *lines, ""])


def _configuration() -> Iterator[str]:
    yield _OF_CONFIGURATION
    for program, settings in (("agentd", agentd.config.Settings), ("masterd", masterd.config.MasterSettings)):
        yield from ("", f"## {program}", "")
        yield from _table(("Setting", "Value", "Default", "In force after", "What it is"), _settings(settings))


def _settings(settings: type[DataclassInstance]) -> Iterator[tuple[str, ...]]:
    for field in fields(settings):
        spec = spec_of(field.metadata)
        name = spec.flag.replace("-", "_") or field.name
        default = f"`{spec.default_text}`" if spec.default_text else "empty"
        yield f"`{name}`", spec.placeholder, default, "reload" if spec.reloads else "restart", spec.help_text


def _commands() -> Iterator[str]:
    yield "What the verbs are for, and how they behave: [the command](../cli.md). Their codes: [exit codes](exit-codes.md)."
    for verb, summary in listed_verbs():
        module = find(verb)
        assert module is not None
        parser = parser_of(verb, *module)
        yield from ("", f"## paddock {verb}", "", f"{summary[0].upper()}{summary[1:]}.", "")
        yield from _arguments(parser)
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, each in action.choices.items():
                    yield from ("", f"### paddock {verb} {name}", "")
                    yield from _arguments(each)


def _arguments(parser: argparse.ArgumentParser) -> list[str]:
    rows = [(f"`{form_of(action)}`", help_of(action)) for action in parser._actions if action.dest != "help"]
    return _table(("Argument", "What it is"), rows)


def _services() -> Iterator[str]:
    yield _OF_SERVICES
    for program in ("masterd", "agentd"):
        source = (ROOT / program / "rpc/services.py").read_text(encoding="utf-8")
        served = sorted(set(re.findall(r"import add_(\w+)Servicer_to_server", source)))
        for name in served:
            path = next(
                path for path in sorted(_PROTO.glob("*.proto")) if f"service {name} {{" in path.read_text("utf-8")
            )
            yield from ("", f"## {name} ({program}, `{path.name}`)", "")
            yield from _table(("Call", "Takes", "Answers", "What it does"), _calls(path.read_text("utf-8"), name))


def _calls(source: str, service: str) -> Iterator[tuple[str, ...]]:
    body = source.partition(f"service {service} {{")[2].partition("\n}")[0]
    words: list[str] = []
    for line in body.splitlines():
        call = re.match(r"\s*rpc (\w+)\((stream )?(\w+)\) returns \((stream )?(\w+)\)", line)
        if call:
            asked, answered = (f"{kind or ''}`{name}`" for kind, name in (call.group(2, 3), call.group(4, 5)))
            yield f"`{call[1]}`", asked, answered, " ".join(words)
            words = []
        elif line.strip().startswith("//"):
            words.append(line.strip().removeprefix("//").strip())


def _exit_codes() -> Iterator[str]:
    yield "Of `paddock`. None ever changes its meaning. `run`, `wait` and `exec` return the command's own code when it ends,"
    yield "and 128 + n when signal n ended it; the codes 2 to 6 are then Paddock's only when stderr says so."
    yield ""
    codes = {name: value for name, value in vars(exit_codes).items() if name.isupper()}
    yield from _table(
        ("Code", "Name", "Meaning"), ((str(code), name, _EXIT_CODES[name]) for name, code in codes.items())
    )
    yield ""
    yield "`agentd` and `masterd`: 0 ended as asked, 1 could not go on, 2 the configuration says no; so does `--check-config`."


def _states() -> Iterator[str]:
    yield _OF_STATES
    rows = (
        (str(state.value), state.name, "terminal" if state.is_terminal else "", _STATES[state]) for state in TaskState
    )
    yield from _table(("Number", "State", "", "Meaning"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    cells = [" | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {row} |" for row in cells)]


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name, text in pages().items():
        (DIRECTORY / name).write_text(text, encoding="utf-8")
