"""The project's own files, as the architecture tests read them."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("paddock", "agentd", "masterd", "isolators")
GENERATED = ROOT / "paddock/wire/v1"


@cache
def committed_files() -> tuple[Path, ...]:
    """Every file that is, or is about to be, committed: what .gitignore names is not ours."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return tuple(path for path in paths if path.is_file())


def modules(*packages: str) -> list[Path]:
    """The hand-written Python files below these top-level directories."""
    files = [path for path in committed_files() if path.suffix == ".py" and GENERATED not in path.parents]
    return [path for path in files if path.relative_to(ROOT).parts[0] in packages]


def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def named(paths: list[Path]) -> list[str]:
    """Paths as a reader of a failure wants them: from the repository's root."""
    return [str(path.relative_to(ROOT)) for path in paths]


def imported_modules(path: Path) -> set[str]:
    """The dotted names a file imports, a name imported from a package as its possible submodule included."""
    names: set[str] = set()
    for statement in ast.walk(tree(path)):
        if isinstance(statement, ast.Import):
            names.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            names.add(statement.module)
            names.update(f"{statement.module}.{alias.name}" for alias in statement.names)
    return names
