"""Completion: what may come next is read off the verbs' parsers, and the three shells' own machinery shows it."""

from __future__ import annotations

import os
import pty
import select
import shlex
import subprocess
import sys

import pytest

from paddock.cli.candidates import FILES
from paddock.cli.completion import SCRIPTS

BIN = os.path.dirname(sys.executable)
NOWHERE = "unix:/nonexistent/paddock-test/masterd.sock"


def ask(*words: str) -> tuple[int, dict[str, str]]:
    done = subprocess.run(
        [f"{BIN}/paddock", "__complete", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PADDOCK_MASTER": NOWHERE},
    )
    assert done.stderr == ""
    return done.returncode, dict(line.split("\t", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("paddock ki", {"kill"}),
        ("paddock --master unix:/x sim", {"simulate"}),
        ("paddock ps --wa", {"--watch"}),
        ("paddock top ", {"tasks", "agents", "roles"}),
        ("paddock top --sort th", {"throttled"}),
        ("paddock top roles --sort sh", {"share"}),
        ("paddock top --sort=th", {"--sort=throttled"}),
        ("paddock quota ", {"list", "set", "remove", "plan"}),
        ("paddock quota set r --gua", {"--guarantee"}),
        ("paddock kill t --signal SIGUSR", {"SIGUSR1", "SIGUSR2"}),
        ("paddock completion f", {"fish"}),
        ("paddock kill ", set()),
        ("paddock nothing-of-ours ", None),
        ("paddock simulate --into ", None),
        ("paddock run --mem 1 -- ech", None),
    ],
)
def test_what_may_come_next(line: str, wanted: set[str] | None) -> None:
    code, found = ask(*line.split(" ")[1:])
    assert (code, set(found)) == ((FILES, set()) if wanted is None else (0, wanted))


def test_each_candidate_says_what_it_is() -> None:
    assert ask("kil")[1]["kill"].startswith("stop a task")
    assert "change nothing" in ask("kill", "--dr")[1]["--dry-run"]


def completed_by(shell: str, line: str) -> list[str]:
    """What the shell itself offers for the line, with our script loaded into it."""
    scripts = {
        "bash": f'PATH={BIN}:$PATH; . <(paddock completion bash); COMP_WORDS=({line}); COMP_LINE="{line}"; '
        'COMP_POINT=${#COMP_LINE}; _paddock 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"',
        "fish": f"set -x PATH {BIN} $PATH; paddock completion fish | source; complete -C {shlex.quote(line)}",
    }
    plain = {"bash": ["bash", "--norc", "-c"], "fish": ["fish", "--no-config", "-c"]}
    done = subprocess.run(
        [*plain[shell], scripts[shell]],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PADDOCK_MASTER": NOWHERE},
    )
    return [each.split("\t")[0] for each in done.stdout.splitlines() if each]


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize(
    ("line", "wanted"),
    [("paddock weig", ["weights"]), ("paddock top --so", ["--sort"]), ("paddock quota s", ["set"])],
)
def test_the_shell_offers_it(shell: str, line: str, wanted: list[str]) -> None:
    assert completed_by(shell, line) == wanted


def test_bash_gets_only_what_stands_behind_the_equals_sign() -> None:
    assert completed_by("bash", "paddock top --sort=th") == ["throttled"]


def read_until(terminal: int, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        assert select.select([terminal], [], [], 30)[0], seen
        seen += os.read(terminal, 4096)


def test_zsh_completes_a_line_typed_at_its_prompt() -> None:
    """Through its own line editor, in a terminal: there is no other way to ask it."""
    ours, its = pty.openpty()
    environment = {**os.environ, "PADDOCK_MASTER": NOWHERE, "TERM": "dumb", "PATH": f"{BIN}:{os.environ['PATH']}"}
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"], stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True
    )
    os.close(its)
    try:
        os.write(ours, b"autoload -U compinit; compinit -D -u; . <(paddock completion zsh); echo lo''aded\n")
        read_until(ours, b"loaded")
        os.write(ours, b"paddock weig\t")
        read_until(ours, b"weights")
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_script_is_one_that_the_shell_can_read(shell: str) -> None:
    done = subprocess.run([shell, "-n"], input=SCRIPTS[shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
