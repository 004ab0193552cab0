"""The tutorial's three hosts, from `make testbed` to `down`, as the page has them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from testbed.__main__ import DIRECTORY_VARIABLE
from tests.cluster.pages import DOCS, blocks_of, missing, run_shell, script_of

pytestmark = pytest.mark.timeout(600)  # where nothing is in the cache yet


def test_its_three_hosts_do_what_it_says() -> None:
    blocks = [block for block in blocks_of(DOCS / "tutorial.md") if block.place == "testbed"]
    with tempfile.TemporaryDirectory(prefix="paddock-tutorial-") as home:
        Path(home).chmod(0o755)
        hosts = Path(home, "hosts")
        down = f"trap '.venv/bin/python -m testbed down' ERR\n{script_of(blocks)}"
        code, output = run_shell(["bash", "-c", down], timeout_s=540, environment={DIRECTORY_VARIABLE: str(hosts)})
        assert (code, missing(blocks, output)) == (0, []), output
        assert not hosts.exists()
