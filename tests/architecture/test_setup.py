"""setup/install: quick when all is there; one clear sentence and what to do when something is wrong."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

INSTALL = ROOT / "setup/install"
NOBODY = 65534


def run(*command: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **settings}
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)


def one_sentence_and_what_to_do(done: subprocess.CompletedProcess[str]) -> str:
    """The words of a refusal: one line, naming who speaks, with a second sentence."""
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("paddock: ")
    assert ". " in line
    return line


@pytest.fixture
def bare_clone() -> Iterator[Path]:
    """What setup/install reads, with no .venv, where anybody may read it."""
    with tempfile.TemporaryDirectory(prefix="paddock-setup-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        shutil.copytree(ROOT / "setup", directory / "setup", ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / file, directory)
        yield directory


@pytest.mark.parametrize("name", ["install", "lock"])
def test_it_is_a_posix_shell_script(name: str) -> None:
    path = ROOT / "setup" / name
    assert path.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    assert run("sh", "-n", path).returncode == 0
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("profile", ["run", "test", "check"])
def test_with_all_there_it_says_nothing_and_takes_no_time(profile: str) -> None:
    assert run(INSTALL, profile).returncode == 0
    begun_s = time.monotonic()
    # Whoever would need the network now would fail.
    done = run("unshare", "--net", INSTALL, profile)
    took_s = time.monotonic() - begun_s
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert took_s < 1


@pytest.mark.parametrize("profile", ["", "install", "run test"])
def test_an_unknown_profile_is_refused(profile: str) -> None:
    assert "knows run, test, bench, check and test-vagrant" in one_sentence_and_what_to_do(run(INSTALL, profile))


@pytest.mark.parametrize("profile", ["run", "test", "bench"])
def test_a_user_who_is_not_root_is_told_so(bare_clone: Path, profile: str) -> None:
    done = run(
        "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", bare_clone / "setup/install", profile
    )
    line = one_sentence_and_what_to_do(done)
    assert "as root" in line
    assert "sudo" in line


def with_bound(source: Path, target: str, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a mount namespace of its own, in which `target` reads like `source`."""
    return run("unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$1"; shift; "$@"', source, target, *command)


@pytest.mark.parametrize("release", ["5.10.0-28-amd64", "4.19.0", "2.6.32-754.el6"])
def test_an_old_kernel_is_named(tmp_path: Path, release: str) -> None:
    kernel = tmp_path / "osrelease"
    kernel.write_text(f"{release}\n", encoding="utf-8")
    line = one_sentence_and_what_to_do(with_bound(kernel, "/proc/sys/kernel/osrelease", INSTALL, "run"))
    assert release in line
    assert "5.11" in line


@pytest.mark.parametrize("release", ["5.11.0", "5.15.0-28-amd64", "6.1", "10.0.0-rc1+"])
def test_a_new_kernel_is_accepted(tmp_path: Path, release: str) -> None:
    kernel = tmp_path / "osrelease"
    kernel.write_text(f"{release}\n", encoding="utf-8")
    done = with_bound(kernel, "/proc/sys/kernel/osrelease", INSTALL, "run")
    assert done.returncode == 0, done.stderr


def with_each_cgroup_mount(do: str) -> subprocess.CompletedProcess[str]:
    """Run setup/install in a mount namespace of its own, after `do` to each mount point $m in it."""
    points = "awk '$(NF-2) ~ /^cgroup/ { print $5 }' /proc/self/mountinfo"
    return run("unshare", "--mount", "sh", "-c", f'for m in $({points}); do {do}; done; "$0" run', INSTALL)


def test_a_missing_controller_is_named() -> None:
    line = one_sentence_and_what_to_do(with_each_cgroup_mount("umount -l $m"))
    assert "'cpu'" in line
    assert "cgroup2" in line


def test_cgroups_that_cannot_be_written_are_named() -> None:
    line = one_sentence_and_what_to_do(with_each_cgroup_mount("mount -o remount,bind,ro $m"))
    assert "writable" in line


def test_a_machine_without_a_new_python_is_told_so(bare_clone: Path, tmp_path: Path) -> None:
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    bind = " && ".join(f"mount --bind {old} {python}" for python in sorted(interpreters()))
    script = f'{bind} && PATH=/usr/bin:/bin:/usr/sbin:/sbin "$0" check'
    line = one_sentence_and_what_to_do(run("unshare", "--mount", "sh", "-c", script, bare_clone / "setup/install"))
    assert "no Python 3.11 or newer" in line
    assert "PADDOCK_PYTHON" in line


def test_an_interpreter_that_was_asked_for_and_does_not_start_is_no_reason_to_take_another(bare_clone: Path) -> None:
    done = run(bare_clone / "setup/install", "check", PADDOCK_PYTHON="python3.11.no-such")
    assert "by the name of python3.11.no-such" in one_sentence_and_what_to_do(done)


def test_an_environment_that_a_link_borrows_from_another_place_is_not_emptied(bare_clone: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    (bare_clone / ".venv").symlink_to(tmp_path)
    line = one_sentence_and_what_to_do(run(bare_clone / "setup/install", "check"))
    assert f".venv is a symbolic link to {tmp_path}" in line
    assert (tmp_path / "precious").exists()


def interpreters() -> set[str]:
    found = {os.path.realpath(path) for path in Path("/usr/bin").glob("python3*") if "config" not in path.name}
    return {path for path in found if os.path.isfile(path)}


def test_a_missing_package_is_named_to_one_who_may_not_install_it(bare_clone: Path) -> None:
    (bare_clone / "setup/packages").write_text("no-such-package  check  to be missing\n", encoding="utf-8")
    done = run(
        "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", bare_clone / "setup/install", "check"
    )
    assert "no-such-package" in one_sentence_and_what_to_do(done)


# What dpkg asks before it starts a daemon; with the file system that it is in out of the way.
POLICY = """
mount -t tmpfs none "$1" && mkdir "$1/upper" "$1/work" &&
mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$1/upper,workdir=$1/work" none /usr/sbin &&
rm -f /usr/sbin/policy-rc.d || exit 99
"$0" check
test ! -e /usr/sbin/policy-rc.d
"""


def test_a_daemon_that_a_package_brings_is_not_started(bare_clone: Path, tmp_path: Path) -> None:
    (bare_clone / "setup/packages").write_text("no-such-daemon  check  to be started\n", encoding="utf-8")
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\n/usr/sbin/policy-rc.d; echo "$1 $?" >>{tmp_path}/asked; [ "$1" = update ]\n', "utf-8")
    apt.chmod(0o755)
    (tmp_path / "mount").mkdir()
    script = ("unshare", "--mount", "sh", "-c", POLICY, bare_clone / "setup/install", tmp_path / "mount")
    done = run(*script, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "apt could not install no-such-daemon" in done.stderr
    assert (tmp_path / "asked").read_text(encoding="utf-8") == "update 101\ninstall 101\n"
    assert done.returncode == 0, "its own policy is gone again"


def test_every_package_names_its_commands_and_its_reason() -> None:
    for line in (ROOT / "setup/packages").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            _, profiles, *reason = line.split()
            assert set(profiles.split(",")) <= {"run", "test", "bench", "check", "test-vagrant"}
            assert reason
