"""One distribution holds what is needed at run time and nothing else, and the commands do what their names say."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.architecture.source import PRODUCT, ROOT, committed_files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", directory, ROOT], check=True, cwd=directory, capture_output=True)
    (path,) = directory.glob("paddock-*.whl")
    return path


def test_the_wheel_holds_the_four_packages_and_their_files(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.split("/")[0] for name in names if not re.match(r"paddock-[^/]+/", name)} == set(PRODUCT)
    expected = {str(path.relative_to(ROOT)) for path in committed_files() if path.relative_to(ROOT).parts[0] in PRODUCT}
    assert expected <= names, "bytes of the still init and py.typed among them"
    assert "paddock/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_wheel_alone_is_enough_for_every_module(wheel: Path, tmp_path: Path) -> None:
    """Installed into an environment that does not see the repository, every module imports and each command answers."""
    environment = tmp_path / "venv"
    venv.create(environment, symlinks=True, with_pip=False)
    python = environment / "bin/python"
    site = next(environment.glob("lib/python3*/site-packages"))
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path, capture_output=True)
    # The dependencies are the locked ones, without the .pth that shows the repository.
    dependencies = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "dependencies.pth").write_text(f"import sys; sys.path.append({dependencies!r})\n", encoding="utf-8")
    probe = (
        "import importlib, pkgutil, paddock, agentd, masterd, isolators\n"
        "for package in (paddock, agentd, masterd, isolators):\n"
        "    assert 'venv' in package.__path__[0], package.__path__\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not module.name.endswith('__main__'):\n"
        "            importlib.import_module(module.name)\n"
    )
    isolated = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    commands = [[str(environment / "bin" / name), "--help"] for name in ("paddock", "agentd", "masterd")]
    for command in ([str(python), "-c", probe], *commands):
        done = subprocess.run(command, cwd=tmp_path, env=isolated, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "bin/paddock" not in command[0] or "  simulate " in done.stdout, "the verbs that masterd brings"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], ".venv/bin/python -m examples.demonstration"),
        (["run", "KEEP=1"], ".venv/bin/python -m examples.demonstration --keep"),
        (["test"], ".venv/bin/python -m pytest"),
        (["test-long"], ".venv/bin/python -m pytest -m long"),
        (["check"], ".venv/bin/python -m setup.check"),
        (["bench"], ".venv/bin/python -m bench"),
        (["bench", "ONLY=launch"], ".venv/bin/python -m bench --only launch"),
        (["wheel"], ".venv/bin/python -m setup.distributions dist"),
        (["testbed"], ".venv/bin/python -m testbed up"),
        (["proto"], ".venv/bin/python -m setup.generate_wire"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_installs_what_it_needs_and_then_runs_one_program(arguments: list[str], words: str) -> None:
    done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line.rstrip() for line in done.stdout.splitlines() if not line.startswith("make")]
    assert lines[0].startswith("setup/install ")
    assert lines[1:] == [words]


def other_interpreters() -> list[str]:
    """Newer interpreters that are here and start, one of each version; none is no gap, it is what the machine has."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found: dict[str, str] = {}
    for version in ("3.12", "3.13"):
        for candidate in (f"/usr/bin/python{version}", *map(str, pyenv.glob(f"versions/{version}.*/bin/python3"))):
            done = subprocess.run(["/usr/bin/env", candidate, "-c", ""], capture_output=True, check=False)
            if done.returncode == 0 and not sys.version.startswith(version):
                found.setdefault(version, candidate)
    return list(found.values())


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_suite_passes_on_the_newer_interpreters_that_are_here(tmp_path: Path) -> None:
    for name in other_interpreters():
        clone = tmp_path / name.replace("/", "_")
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        environment = {**os.environ, "PADDOCK_PYTHON": name}
        subprocess.run([clone / "setup/install", "check"], check=True, env=environment, capture_output=True)
        python = str(clone / ".venv/bin/python")
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit", "tests/contract"]
        done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}:\n{done.stdout[-5000:]}"
