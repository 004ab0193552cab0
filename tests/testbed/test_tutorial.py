"""The tutorial's three hosts, from `make testbed` to `down`, as the page has them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from testbed.__main__ import DIRECTORY_VARIABLE
from testbed.distribution import REPOSITORY
from tests.cluster.pages import DOCS, blocks_of, missing, script_of

pytestmark = pytest.mark.timeout(600)  # where nothing is in the cache yet


def test_its_three_hosts_do_what_it_says() -> None:
    blocks = [block for block in blocks_of(DOCS / "tutorial.md") if block.place == "testbed"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PADDOCK_")}
    with tempfile.TemporaryDirectory(prefix="paddock-tutorial-") as home:
        Path(home).chmod(0o755)
        hosts = Path(home, "hosts")
        down = f"trap '.venv/bin/python -m testbed down' ERR\n{script_of(blocks)}"
        done = subprocess.run(
            ["bash", "-c", down],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=540,
            cwd=REPOSITORY,
            env=environment | {DIRECTORY_VARIABLE: str(hosts)},
        )
        assert (done.returncode, missing(blocks, done.stdout)) == (0, []), done.stdout
        assert not hosts.exists()
