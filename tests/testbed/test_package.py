"""The package on a clean Debian: what is installed is whole, answers, and is described as it is."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from setup.build_hook import UNITS
from setup.manual import pages, write_all
from testbed.debian import root_tree
from testbed.distribution import PREFIX, REPOSITORY, enter, install, make_environment, wheelhouse

pytestmark = pytest.mark.timeout(600)  # a first build of the bare Debian is in it


class Place:
    """A bare Debian, and what an operator installed into it."""

    def __init__(self, directory: Path) -> None:
        self.layer = directory / "layer"
        self.layer.mkdir()
        self.wheels = wheelhouse()

    def run(self, *command: str, bound: Path | None = None) -> str:
        return enter([root_tree()], self.layer, bound or self.wheels, command)


@pytest.fixture(scope="module")
def place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """No network, no repository: the wheel, and the wheels of what the lock names."""
    directory = tmp_path_factory.mktemp("clean")
    clean = Place(directory)
    clean.run(*make_environment())
    (clean.layer / "root").mkdir(exist_ok=True)
    (clean.layer / "root" / wheel.name).write_bytes(wheel.read_bytes())
    clean.run(*install(f"/root/{wheel.name}"))
    return clean


def test_the_commands_answer_on_a_clean_root_file_system(place: Place) -> None:
    version = re.compile(r"paddock \d+\.\d+\.\d+\n")
    assert version.fullmatch(place.run(f"{PREFIX}/bin/paddock", "--version"))
    for daemon in ("agentd", "masterd"):
        assert place.run(f"{PREFIX}/bin/{daemon}", "--version").startswith(f"{daemon} ")
        assert not place.run(f"{PREFIX}/bin/{daemon}", "--check-config")


def test_what_is_installed_is_complete_and_agrees_with_itself(place: Place) -> None:
    pip = next(path.name for path in place.wheels.glob("pip-*.whl"))
    checked = place.run("python3", f"/mnt/{pip}/pip", "--python", f"{PREFIX}/bin/python", "check")
    assert checked.startswith("No broken requirements found")
    site = place.layer / f"{PREFIX[1:]}/lib/python3.11/site-packages"
    assert (site / "paddock/py.typed").is_file()
    assert list(site.glob("paddock-*.dist-info/licenses/LICENSE"))


def test_systemd_accepts_the_units_where_they_are_installed(place: Place) -> None:
    for name in ("agentd.service", "masterd.service"):
        unit = f"{PREFIX}/lib/systemd/system/{name}"
        words = ["systemd-analyze", "--recursive-errors=yes", "--man=no", "verify", unit]
        assert not place.run(*words)


def test_user_and_directories_are_made_from_the_installed_files(place: Place) -> None:
    place.run("systemd-sysusers", f"{PREFIX}/lib/sysusers.d/paddock.conf")
    assert place.run("getent", "passwd", "paddock").startswith("paddock:")
    place.run("systemd-tmpfiles", "--create", f"{PREFIX}/lib/tmpfiles.d/paddock.conf")
    assert (place.layer / "run/paddock").stat().st_mode & 0o7000 == 0o1000


def test_every_page_of_the_manual_is_installed_as_the_parsers_say_now(place: Place) -> None:
    """What is generated at the build cannot be stale; that it is generated at all is the point here."""
    share = place.layer / f"{PREFIX[1:]}/share"
    installed = {path.name: path.read_text(encoding="utf-8") for path in (share / "man").rglob("*.?")}
    assert installed == pages()
    assert {"paddock.1", "paddock-run.1", "paddock-simulate.1", "agentd.8", "masterd.8"} <= set(installed)


@pytest.mark.parametrize("program", ["paddock run", "paddock quota set", "agentd", "masterd"])
def test_the_manual_names_every_flag_that_help_names(program: str) -> None:
    command, *verb = program.split()
    binary = str(Path(sys.executable).parent / command)
    told = subprocess.run([binary, *verb, "--help"], capture_output=True, text=True, check=True).stdout
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", told))
    name = f"{command}-{verb[0]}.1" if verb else f"{command}.8"
    page = pages()[name].replace("\\-", "-")
    assert len(flags) > 3
    assert {flag for flag in flags if flag not in page} == set()


def test_the_manual_is_one_that_man_can_read(tmp_path: Path) -> None:
    for path in write_all(tmp_path):
        if path.suffix in {".1", ".8"}:
            done = subprocess.run(["groff", "-man", "-ww", "-z", path], cwd=tmp_path, capture_output=True, check=True)
            assert done.stderr == b"", path


def test_completion_is_installed_where_each_shell_looks(place: Place) -> None:
    share = place.layer / f"{PREFIX[1:]}/share"
    for shell, path in (
        ("bash", "bash-completion/completions/paddock"),
        ("zsh", "zsh/site-functions/_paddock"),
        ("fish", "fish/vendor_completions.d/paddock.fish"),
    ):
        assert (share / path).read_text() == place.run(f"{PREFIX}/bin/paddock", "completion", shell)


def test_a_wheel_from_the_source_distribution_is_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """It carries the pages, so it needs nothing of Paddock's dependencies to be built."""
    command = [sys.executable, "-m", "setup.distributions", "--sdist-only", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (source,) = tmp_path.glob("paddock-*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path)
    (tree,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    again = tmp_path / "wheel"
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    # Where the repository cannot be seen.
    subprocess.run([*pip, "--wheel-dir", again, tree], check=True, cwd=tmp_path, capture_output=True)
    (rebuilt,) = again.glob("*.whl")
    contents = []
    for path in (wheel, rebuilt):
        with zipfile.ZipFile(path) as archive:
            contents.append({name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")})
    assert contents[0] == contents[1]


def test_every_unit_in_the_tree_is_in_the_wheel(wheel: Path) -> None:
    committed = {str(path.relative_to(REPOSITORY / "systemd")) for path in (REPOSITORY / "systemd").rglob("*.*")}
    assert {name for name in committed if not name.endswith(".d")} == set(UNITS)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for name, where in UNITS.items():
        assert any(each.endswith(f".data/data/{where}/{Path(name).name}") for each in names)
