"""The commands of a page, run as they stand, and what the page says that they show.

A block that begins with ```sh is run; a word behind it says where (`sh agent1`: on that host of the testbed). All blocks of a
page that are run in one place share one shell, so what one sets the next one has. A command that fails ends the page's run:
where a failure is meant, the page says so (`|| echo "exit code $?"`). After a line that ends in `&` the run waits until the
task that it names with --name runs (with --offer-timeout: until it asks for an offer), as a person would. A ```text block
behind it holds lines of what is shown, in their order: `…` stands for whatever differs.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.one_host import OneHost
from tests.cluster.conftest import PADDOCK

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^( *)```(\S*) *(.*?)\s*$")
_MARK = "@@ block at line"
_STATE = "/var/lib/paddock/agentd"
"""An installed agent's. There for pages that name it only: elsewhere `agentd --check-config` would find what the cluster's
agent was started with.
"""
_BEGUN = """
_begun() { _until 'ps -a' '$2 == name && $3 != "staging" && $3 != "starting" { found = 1 } END { exit !found }' "$1"; }
_asks() { _until frameworks '$0 ~ name { found = 1 } END { exit !found }' "$1"; }
_until() {
    for _ in $(seq 200); do
        if paddock $1 --no-headers | awk -v name="$3" "$2"; then return 0; fi
        sleep 0.1
    done
    echo "$3 does not begin"
    return 1
}
"""
"""What is started beside the others runs; what has to wait for an offer asks for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """`line`: of its fence, from 1. `place`: empty for the cluster of one host. `shown`: lines of output, in order."""

    line: int
    place: str
    commands: str
    shown: tuple[str, ...]


def blocks_of(page: Path) -> list[Block]:
    """All that is run, in order."""
    found: list[Block] = []
    shell: tuple[int, str, str] | None = None
    for line, language, words, text in _fenced(page.read_text(encoding="utf-8").splitlines()):
        if shell is not None:
            shown = tuple(each for each in text.splitlines() if each.strip("… ")) if language == "text" else ()
            found.append(Block(line=shell[0], place=shell[1], commands=shell[2], shown=shown))
        shell = (line, words, text) if language == "sh" else None
    if shell is not None:
        found.append(Block(line=shell[0], place=shell[1], commands=shell[2], shown=()))
    return found


def _fenced(lines: list[str]) -> Iterator[tuple[int, str, str, str]]:
    """Line, language, further words and text of each block, whether fenced or not: what is between is language ``."""
    begin, indent, language, words = 0, 0, "", ""
    text: list[str] = []
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if fence is None:
            text.append(line[indent:])
            continue
        if begin or any(each.strip() for each in text):
            yield begin, language if begin else "", words, "\n".join(text)
        begin, indent, language, words = (0, 0, "", "") if begin else (number, len(fence[1]), fence[2], fence[3])
        text = []


def script_of(blocks: Iterable[Block]) -> str:
    """For bash; what each block says stands behind a mark of its own, stdout and stderr as they come."""
    parts = [
        "set -e -o pipefail -m",
        "exec 2>&1",
        _BEGUN,
        "trap 'kill $(jobs -p) 2>/dev/null || true; wait || true' EXIT",
    ]
    for block in blocks:
        parts.append(f"echo '{_MARK} {block.line}'")
        for line in block.commands.splitlines():
            parts.append(line)
            if line.rstrip().endswith("&"):
                waits = "_asks" if "--offer-timeout" in line else "_begun"
                parts.append(f"{waits} {shlex.quote(_name_in(line))}")
    return "\n".join([*parts, f"echo '{_MARK} 0'", ""])


def run_page(page: Path, cluster: OneHost, *, hostname: str = "agent1") -> tuple[int, str]:
    """In namespaces of its own: nothing of the real /run is changed, nor this host's name. `hostname` is the agent's."""
    script = script_of(block for block in blocks_of(page) if not block.place)
    directory = shlex.quote(cluster.directory)
    state = ""
    if f"--state-dir={_STATE}" in script:
        state = f"mount -t tmpfs tmpfs /var/lib; mkdir {os.path.dirname(_STATE)}; ln -s {directory}/agent {_STATE}; "
    inside = (
        f"hostname {shlex.quote(hostname)}; mount -t tmpfs tmpfs /run; ln -s {directory} /run/paddock; {state}"
        'exec bash -c "$1"'
    )
    return run_shell(
        ["unshare", "--mount", "--uts", "--propagation=private", "sh", "-c", inside, "sh", script],
        timeout_s=300,
        environment={"PATH": f"{os.path.dirname(PADDOCK)}:{os.environ['PATH']}"},
    )


def run_shell(
    words: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Its exit code and all that it says, from where a clone is; `environment` beside this process' own, without settings of
    Paddock's that a reader of a page does not have.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("PADDOCK_")}
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=timeout_s,
        cwd=ROOT,
        env=own | dict(environment or {}),
    )
    return done.returncode, done.stdout


def _name_in(line: str) -> str:
    name = re.search(r"--name[ =](\S+)", line)
    assert name is not None, f"{line}: what runs beside the page's other commands needs a --name, to be waited for"
    return name[1]


def missing(blocks: Iterable[Block], output: str) -> list[str]:
    """Each block that was not finished, and each line that a page shows and its command did not."""
    said = {}
    for part in output.split(f"{_MARK} ")[1:]:
        number, _, text = part.partition("\n")
        said[int(number)] = text
    problems = []
    for block in blocks:
        if block.line not in said:
            problems.append(f"line {block.line}: was not come to")
            continue
        rest = said[block.line].splitlines()
        for line in block.shown:
            pattern = _pattern(line)
            at = next((index for index, each in enumerate(rest) if pattern.fullmatch(" ".join(each.split()))), None)
            if at is None:
                problems.append(f"line {block.line}: {line!r} is not shown, or not there")
            else:
                rest = rest[at + 1 :]
    if 0 not in said:
        problems.append("it was not come to its end")
    return problems


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in " ".join(line.split()).split("…")))
