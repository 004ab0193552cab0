"""The manual pages, printed from what `--help` is printed from, and the shells' completion files: what a build adds.

usage: python -m setup.manual DIRECTORY
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from agentd.config import configuration as agentd_configuration
from masterd.config import configuration as masterd_configuration
from paddock import __version__
from paddock.cli.__main__ import find, listed_verbs, parser_of
from paddock.cli.candidates import help_of
from paddock.cli.completion import SCRIPTS
from paddock.daemon.config import Configuration

# Where each shell looks below a prefix's share directory.
COMPLETION_FILES = {
    "bash": "bash-completion/completions/paddock",
    "zsh": "zsh/site-functions/_paddock",
    "fish": "fish/vendor_completions.d/paddock.fish",
}

Entries = Iterable[tuple[str, str]]


def write_all(directory: Path) -> list[Path]:
    """Everything below `directory`, as it lies below a prefix's share. Returns the paths, from `directory`."""
    files = {Path(f"man/{page_path(name)}"): text for name, text in pages().items()}
    files |= {Path(COMPLETION_FILES[shell]): script for shell, script in SCRIPTS.items()}
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text, encoding="utf-8")
    return sorted(files)


def page_path(name: str) -> str:
    """paddock-ps.1 → man1/paddock-ps.1"""
    return f"man{name[-1]}/{name}"


def pages() -> dict[str, str]:
    """File name → text in man's macros."""
    # argparse wraps the usage at the terminal's width.
    os.environ["COLUMNS"] = "100"
    found = {"paddock.1": _overview_page()}
    for verb, summary in listed_verbs():
        module = find(verb)
        assert module is not None
        found[f"paddock-{verb}.1"] = _verb_page(verb, summary, parser_of(verb, *module))
    found["agentd.8"] = _daemon_page("agentd", "runs tasks on this machine", agentd_configuration())
    found["masterd.8"] = _daemon_page("masterd", "offers the machines' resources", masterd_configuration())
    return found


def _overview_page() -> str:
    return _page(
        "paddock",
        1,
        "run tasks on a cluster of Linux machines, each inside its own bounds",
        [
            ("SYNOPSIS", ".B paddock\n.I VERB\n" + _escaped("[ARGUMENT …]")),
            ("VERBS", _tagged((f"paddock-{verb}(1)", summary) for verb, summary in listed_verbs())),
            (
                "ENVIRONMENT",
                _tagged([("PADDOCK_MASTER", "the master's address: unix:/path or host:port, several with commas")]),
            ),
            ("SEE ALSO", ".BR agentd (8),\n.BR masterd (8)"),
        ],
    )


def _verb_page(verb: str, summary: str, parser: argparse.ArgumentParser) -> str:
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    sections = [("SYNOPSIS", _escaped(usage)), *_argument_sections("", parser)]
    for actions in [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]:
        for name, each in actions.choices.items():
            sections += _argument_sections(f"{name.upper()}: ", each)
    sections.append(("SEE ALSO", ".BR paddock (1)"))
    return _page(f"paddock-{verb}", 1, summary, sections)


def _argument_sections(prefix: str, parser: argparse.ArgumentParser) -> Sequence[tuple[str, str]]:
    positionals = [action for action in parser._actions if not action.option_strings]
    options = [action for action in parser._actions if action.option_strings]
    kinds = (("ARGUMENTS", positionals), ("OPTIONS", options))
    return [
        (f"{prefix}{title}", _tagged((form_of(action), help_of(action)) for action in actions))
        for title, actions in kinds
        if actions
    ]


def form_of(action: argparse.Action) -> str:
    """As it is written: -o, --output {table,wide}."""
    metavar: Any = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else None)
    value = " ".join(metavar) if isinstance(metavar, tuple) else metavar or action.dest.upper()
    if not action.option_strings:
        return str(value)
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value}")


def _daemon_page(program: str, summary: str, configuration: Configuration[Any]) -> str:
    return _page(
        program,
        8,
        summary,
        [
            ("SYNOPSIS", f".B {program}\n{_escaped('[--NAME=VALUE …]')}"),
            ("OPTIONS", f"{_escaped(configuration.environment_words())}\n{_tagged(configuration.flags())}"),
            ("FILES", _tagged([(f"/etc/paddock/{program}.toml, /etc/paddock/conf.d/*.toml", "settings")])),
            ("SEE ALSO", ".BR paddock (1)"),
        ],
    )


def _page(name: str, section: int, summary: str, sections: Iterable[tuple[str, str]]) -> str:
    lines = [f'.TH {name.upper()} {section} "" "Paddock {__version__}"', ".SH NAME", f"{name} \\- {_escaped(summary)}"]
    for title, text in sections:
        lines += [f'.SH "{title}"', text]
    return "\n".join(lines) + "\n"


def _tagged(entries: Entries) -> str:
    return "\n".join(f".TP\n.B {_escaped(tag)}\n{_escaped(text) or '.br'}" for tag, text in entries)


def _escaped(text: str) -> str:
    """Nothing of it is a request or an escape of roff's, and a dash can be searched for."""
    escaped = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    escaped = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in escaped)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    for written in write_all(Path(sys.argv[1])):
        print(written)
