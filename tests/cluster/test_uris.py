"""`paddock run --uri`, through a real master and agent."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.cluster.conftest import Command


def test_what_is_named_is_there_when_the_command_begins(paddock: Command, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho from the tool\n")
    digest = hashlib.sha256(tool.read_bytes()).hexdigest()
    done = paddock("run", f"--uri={tool},executable,output=bin/tool,sha256={digest}", "--", "./bin/tool")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"from the tool\n", b"")


def test_what_cannot_be_fetched_is_said_with_its_cause(paddock: Command, tmp_path: Path) -> None:
    done = paddock("run", f"--uri=file://{tmp_path}/missing", "--", "/bin/true")
    assert done.returncode == 125
    assert done.stdout == b""
    words = f"the launch stopped at fetch: file://{tmp_path}/missing: uid 0 cannot open it: No such file or directory"
    assert words in done.stderr.decode()
