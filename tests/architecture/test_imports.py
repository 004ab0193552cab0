"""Imports go down only: the contracts in pyproject.toml hold, and each of them can fail.

That they hold on the real tree is shown by test_checks, which runs lint-imports; what it cannot say is said here.
"""

import ast
import graphlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import PRODUCT, ROOT, imported_modules, modules, named, tree

PACKAGES = (
    "paddock/cli", "paddock/daemon", "paddock/kernel", "paddock/launch", "paddock/model", "paddock/rpc",
    "paddock/scheduler", "paddock/wire", "agentd/core", "agentd/docker", "agentd/rpc", "masterd/allocator", "masterd/core",
    "isolators/cgroups", "isolators/disk",
)  # fmt: skip
MODULES = (
    "agentd/docker/breaker.py",
    "agentd/docker/creation.py",
    "agentd/docker/parameters.py",
    "isolators/cgroups/cpu.py",
    "isolators/disk/du.py",
)

VIOLATIONS = {
    "agentd/rpc/master.py": "import masterd.core",
    "masterd/core/offers.py": "import paddock.kernel",
    "masterd/shell.py": "import isolators.disk",
    "isolators/disk/du.py": "import isolators.cgroups.cpu",
    "isolators/cgroups/cpu.py": "from paddock import launch",
    "isolators/contract.py": "import agentd.core",
    "paddock/model/task.py": "import paddock.wire",
    "paddock/wire/convert.py": "import paddock.rpc",
    "paddock/scheduler/loop.py": "import paddock.cli",
    "paddock/kernel/paths.py": "import paddock.model",
    "paddock/kernel/mounts.py": "import pathlib",
    "paddock/launch/shim.py": "import dataclasses",
    "paddock/launch/record.py": "import paddock.daemon",
    "paddock/model/ids.py": "import random",
    "paddock/model/offers.py": "import google.protobuf",
    "agentd/core/machine.py": "import time",
    "agentd/core/effects.py": "import asyncio",
    "agentd/docker/breaker.py": "import time",
    "masterd/core/machine.py": "import logging",
    "masterd/allocator/drf.py": "import os",
}


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "pyproject.toml", tree)
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def clean_tree(tmp_path: Path) -> Path:
    """The packages of the design with nothing in them."""
    for package in PACKAGES:
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package).parent.joinpath("__init__.py").touch()
    for module in MODULES:
        (tmp_path / module).touch()
    return tmp_path


def test_the_contracts_accept_a_clean_tree(clean_tree: Path) -> None:
    done = lint(clean_tree)
    assert done.returncode == 0, done.stdout


def test_the_contracts_refuse_each_forbidden_import(clean_tree: Path) -> None:
    for path, statement in VIOLATIONS.items():
        (clean_tree / path).write_text(f"{statement}\n", encoding="utf-8")
    done = lint(clean_tree)
    assert done.returncode == 1
    words = " ".join(done.stdout.split())
    for path in VIOLATIONS:
        name = path.removesuffix(".py").replace("/", ".")
        assert f" {name} -> " in words, f"{name} was not found out:\n{done.stdout}"


def circle(paths: list[Path], root: Path) -> list[str]:
    """The modules of one, from one back to itself, imports for annotations included; empty when there is none."""
    files = {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    graph = {}
    for module, path in files.items():
        names = imported_modules(path) & files.keys() - {module}
        # Who takes a module from a package does not take the package.
        graph[module] = {name for name in names if not any(other.startswith(f"{name}.") for other in names)}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle(modules(*PRODUCT), ROOT) == []


def test_a_circle_is_found_out(tmp_path: Path) -> None:
    texts = {"a": "if TYPE_CHECKING:\n    from p.b import B", "b": "def f():\n    import p.c", "c": "from p import a"}
    (tmp_path / "p").mkdir()
    for name, text in texts.items():
        (tmp_path / "p" / f"{name}.py").write_text(text)
    (tmp_path / "p/__init__.py").write_text("import p.a")
    assert set(circle(sorted(tmp_path.rglob("*.py")), tmp_path)) == {"p.a", "p.b", "p.c"}


def knows_protobuf(path: Path) -> bool:
    return any(
        name == known or name.startswith(f"{known}.")
        for name in imported_modules(path)
        for known in ("google", "paddock.wire.v1")
    )


def test_protobuf_is_known_in_wire_and_rpc_only() -> None:
    allowed = [ROOT / name for name in ("paddock/wire", "paddock/rpc", "agentd/rpc", "masterd/rpc")]
    others = [path for path in modules(*PRODUCT) if not any(place in path.parents for place in allowed)]
    assert named([path for path in others if knows_protobuf(path)]) == []


def test_knowing_protobuf_is_found_out(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    for statement in (
        "from google.protobuf import message",
        "from paddock.wire.v1 import tasks_pb2",
        "import google.rpc",
    ):
        module.write_text(f"{statement}\n", encoding="utf-8")
        assert knows_protobuf(module)


DAEMONS = re.compile(r"(agentd|masterd|isolators)\.[\w.]*")


def names_a_daemons_module(path: Path) -> bool:
    """As text, for importlib: an import that import-linter does not see."""
    return any(
        isinstance(each, ast.Constant) and isinstance(each.value, str) and DAEMONS.fullmatch(each.value) is not None
        for each in ast.walk(tree(path))
    )


def test_paddock_does_not_load_the_daemons_by_name_either() -> None:
    assert named([path for path in modules("paddock") if names_a_daemons_module(path)]) == []


def test_loading_a_daemon_by_name_is_found_out(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    for name in ('"masterd.replay"', 'f"agentd.{name}"', '"isolators.table"'):
        module.write_text(f"importlib.import_module({name})\n", encoding="utf-8")
        assert names_a_daemons_module(module)
    module.write_text('"""agentd.core has it."""\nimport_module("paddock.cli")\n', encoding="utf-8")
    assert not names_a_daemons_module(module)


def test_the_product_imports_nothing_of_tests_bench_or_setup() -> None:
    outside = {"tests", "bench", "setup", "testbed", "examples"}
    guilty = [path for path in modules(*PRODUCT) if {name.split(".")[0] for name in imported_modules(path)} & outside]
    assert named(guilty) == []


def test_cgroupspys_tree_is_never_built() -> None:
    # 150 ms at 300 cgroups, and it recurses wrongly.
    trees = {"cgroupspy.trees", "cgroupspy.trees.Tree", "cgroupspy.trees.GroupedTree", "cgroupspy.Tree"}
    assert named([path for path in modules(*PRODUCT) if imported_modules(path) & trees]) == []
