"""Runs every check of the source: `make check`, and a test inside `make test`, so that the two can never differ."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

Command = tuple[Path, *tuple[str, ...]]

CHECKS: tuple[Command, ...] = (
    (BIN / "ruff", "check", "--quiet"),
    (BIN / "ruff", "format", "--check", "--quiet"),
    (BIN / "lint-imports",),
    (BIN / "mypy",),
)


def failure(command: Command) -> str | None:
    """Run one check; what it said when it failed, None when the source is clean."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    words = " ".join([command[0].name, *command[1:]])
    return f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"


def main() -> int:
    """Print what failed; the exit code is 0 only when nothing did."""
    failed = [words for words in map(failure, CHECKS) if words is not None]
    print("\n".join(failed) if failed else "ruff, format, import contracts and types: all clean")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
