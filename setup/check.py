"""Runs every check of the source: `make check`, and a test inside `make test`, so that the two can never differ."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

CHECKS = (
    (BIN / "ruff", "check", "--quiet"),
    (BIN / "ruff", "format", "--check", "--quiet"),
    (BIN / "lint-imports",),
    (BIN / "mypy",),
)


def failures() -> list[str]:
    """Run all checks, and return for each that failed its command and its words; empty when the source is clean."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    failed = []
    for check in CHECKS:
        command = [str(word) for word in check]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            words = " ".join([Path(command[0]).name, *command[1:]])
            failed.append(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return failed


def main() -> int:
    """Print what failed; the exit code is 0 only when nothing did."""
    failed = failures()
    print("\n".join(failed) if failed else "ruff, format, import contracts and types: all clean")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
