"""Every command of every page under docs/howto and docs/operations works as it stands, on one cluster for all of them.

Each page's shell sees what an operator of an installed host would: the sockets in /run/paddock, and a host called agent1.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.one_host import OneHost
from tests.cluster.conftest import PADDOCK
from tests.cluster.pages import DOCS, ROOT, blocks_of, missing, run_page, run_shell, script_of

# One needs tools, the other an engine: tests/cluster/test_inspection.py and tests/engine/test_tasks.py have them.
RUN_ELSEWHERE = frozenset({"inspection.md", "docker.md"})
PAGES = sorted(
    page
    for page in [*DOCS.glob("howto/*.md"), *DOCS.glob("operations/*.md"), DOCS / "doctor.md"]
    if page.name not in RUN_ELSEWHERE and any(not block.place for block in blocks_of(page))
)
PLACES = {"", "testbed", "master", "agent1", "host"}
"""`host`: a Debian with a systemd of its own, see tests/testbed/test_pages.py."""
_COMMAND = re.compile(r"^ {4}(?:paddock|agentd|masterd|systemctl|journalctl|curl) ", re.MULTILINE)


@pytest.fixture(scope="module")
def cluster() -> Iterator[OneHost]:
    """With resources that are the same on every machine."""
    host = OneHost.make(
        agent_arguments=["--hostname=agent1", "--resources=cpus:4;mem:4096;disk:20480;ports:[31000-31099]"]
    )
    try:
        host.start()
        yield host
    finally:
        host.stop()


@pytest.mark.timeout(330)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_its_commands_do_what_it_says(page: Path, cluster: OneHost) -> None:
    code, output = run_page(page, cluster)
    problems = missing([block for block in blocks_of(page) if not block.place], output)
    assert (code, problems) == (0, []), f"{page.relative_to(ROOT)}: exit code {code}\n{output}"


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_no_command_stands_where_nobody_runs_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert {block.place for block in blocks_of(page)} <= PLACES
    if page in PAGES:
        assert _COMMAND.findall(text) == [], "a command stands indented: put it into a ```sh block"


def test_a_page_that_is_not_true_is_found(tmp_path: Path, cluster: OneHost) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\necho one; echo two\n```\n\n```text\ntwo\none\n```\n\n```sh\nfalse\n```\n\n```sh\necho\n```\n"
    )
    code, output = run_page(page, cluster)
    assert code == 1
    assert [problem.partition(":")[0] for problem in missing(blocks_of(page), output)] == [
        "line 1",
        "line 14",
        "it was not come to its end",
    ]


@pytest.mark.timeout(630)
def test_the_tutorial_is_true() -> None:
    """From a clone and a bare environment; what it does with three hosts is run in tests/testbed."""
    blocks = [block for block in blocks_of(DOCS / "tutorial.md") if not block.place]
    path = ":".join(part for part in os.environ["PATH"].split(":") if part != os.path.dirname(PADDOCK))
    stop = "trap 'kill $(jobs -p) 2>/dev/null; .venv/bin/python -m testbed.one_host stop \"$PADDOCK_DIRECTORY\"' ERR"
    words = ["bash", "-c", f"{stop}\n{script_of(blocks)}"]
    code, output = run_shell(words, timeout_s=600, environment={"PATH": path})
    assert (code, missing(blocks, output)) == (0, []), output
