"""The house keeps its order: names, sizes, and one module, one flag, one page, one test per isolator."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

from isolators.contract import Isolator
from tests.architecture.source import PRODUCT, ROOT, committed_files, modules, named, tree

SOURCE = (*PRODUCT, "testbed", "examples", "bench", "setup")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

# Words that say nothing about what a thing is, and words of other systems for ours.
FORBIDDEN = frozenset(
    {"common", "data", "helper", "helpers", "job", "manager", "misc", "node", "pod", "slave", "util", "utils", "worker"}
)


def words(name: str) -> set[str]:
    """The words of a snake_case or CamelCase name, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def definitions(module: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [statement for statement in ast.walk(module) if isinstance(statement, kinds)]


def test_words_are_told_apart() -> None:
    assert words("ContainerID_worker") == {"container", "id", "worker"}
    assert words("metadata_update") & FORBIDDEN == set()


def test_no_module_has_a_name_that_says_nothing() -> None:
    paths = [path for path in modules(*SOURCE, "tests") if words(path.stem) & FORBIDDEN]
    assert named(paths) == []


def test_no_class_or_function_has_a_forbidden_word_in_its_name() -> None:
    guilty = [
        f"{path.relative_to(ROOT)}:{definition.lineno} {definition.name}"
        for path in modules(*SOURCE)
        for definition in definitions(tree(path))
        if words(definition.name) & FORBIDDEN
    ]
    assert guilty == []


def test_no_file_is_too_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules(*SOURCE)}
    assert {named([path])[0]: lines for path, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_is_too_long() -> None:
    guilty = {
        f"{path.relative_to(ROOT)}:{definition.name}": (definition.end_lineno or 0) - definition.lineno + 1
        for path in modules(*SOURCE)
        for definition in definitions(tree(path))
        if not isinstance(definition, ast.ClassDef)
        and (definition.end_lineno or 0) - definition.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert guilty == {}


def test_no_python_in_proto_or_systemd() -> None:
    files = [path for path in committed_files() if path.relative_to(ROOT).parts[0] in {"proto", "systemd"}]
    assert named([path for path in files if path.suffix in {".py", ".pyi"}]) == []


def isolator_modules() -> list[Path]:
    """isolators/<group>/<name>.py: everything below the first level but the packages themselves."""
    files = modules("isolators")
    return [path for path in files if len(path.relative_to(ROOT).parts) > 2 and path.name != "__init__.py"]


@pytest.mark.parametrize("path", isolator_modules(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_isolator_is_named_like_its_flag_and_has_its_page_and_its_test(path: Path) -> None:
    flag = f"{path.parent.name}/{path.stem}"
    module = importlib.import_module(f"isolators.{path.parent.name}.{path.stem}")
    classes = [value for _, value in inspect.getmembers(module, inspect.isclass) if value.__module__ == module.__name__]
    isolators = [value for value in classes if issubclass(value, Isolator)]
    assert [value.name for value in isolators] == [flag], "a module holds one isolator, with the name of its flag"
    page = ROOT / "docs/isolators" / f"{path.parent.name}-{path.stem}.md"
    assert page.is_file(), f"{page.relative_to(ROOT)} is missing"
    assert flag in page.read_text(encoding="utf-8").splitlines()[0], "the page's title is the flag"
    tests = [
        test for test in modules("tests") if test.name == f"test_{path.stem}.py" and path.parent.name in test.parts
    ]
    assert tests, f"no tests/…/isolators/{path.parent.name}/test_{path.stem}.py"


def test_every_isolators_page_has_its_isolator() -> None:
    flags = {f"{path.parent.name}-{path.stem}" for path in isolator_modules()}
    pages = {path.stem for path in (ROOT / "docs/isolators").glob("*.md")} - {"README", "contract"}
    assert pages <= flags


def test_importing_a_module_has_no_visible_effect(capfd: pytest.CaptureFixture[str]) -> None:
    for path in modules(*PRODUCT):
        if path.name != "__main__.py":
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            importlib.import_module(name)
    assert capfd.readouterr() == ("", "")
