"""A minimal Debian root file system, made once by debootstrap: hosts, machines and clean places for the package start from it.

It is kept outside the tree, in ``/var/cache/paddock-tests`` or where ``PADDOCK_TEST_CACHE`` points, in one directory for each
recipe: another recipe makes another one, and every directory there may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CACHE_VARIABLE = "PADDOCK_TEST_CACHE"
DEFAULT_CACHE = Path("/var/cache/paddock-tests")
BUILD_TIMEOUT_S = 900.0

SUITE = "bookworm"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "iproute2", "procps", "python3", "kmod")


class ImageError(Exception):
    """An image could not be made: names the step, and what the operator can do."""


def cache_directory() -> Path:
    """Where images are kept: the environment's choice, else the default."""
    return Path(os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE)


def root_tree(suite: str = SUITE, packages: Sequence[str] = PACKAGES) -> Path:
    """A directory with these packages, and what they need: to be copied or laid under an overlay, never written to."""
    key = hashlib.sha256(json.dumps([suite, list(packages)]).encode()).hexdigest()[:16]
    return cached(f"debian-{key}", lambda work: _bootstrap(suite, packages, work))


def cached(name: str, build: Callable[[Path], Path]) -> Path:
    """The cache's directory of this name. Two callers at once build it once: `build` gets an empty directory and returns the
    one below it that is to stay.
    """
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    home = cache / name
    with locked(cache / f"{name}.lock"):
        if not home.is_dir():
            # A build that is killed half-way leaves a directory of another name: it is never taken for the result.
            with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as work:
                build(Path(work)).rename(home)
    return home


def _bootstrap(suite: str, packages: Sequence[str], work: Path) -> Path:
    print(f"building a Debian {suite} below {work.parent} (about a minute, once)", file=sys.stderr, flush=True)
    root = work / "root"
    options = ["--variant=minbase", f"--include={','.join(packages)}"]
    run_tool(["debootstrap", *options, suite, str(root), archive(suite)])
    shutil.rmtree(root / "var/cache/apt")
    return root


def archive(suite: str) -> str:
    """The address from which this host's own apt takes ``suite``."""
    lines = run_tool(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(CREATED_BY)|$(SITE)"])
    for line in lines.splitlines():
        origin, codename, made_by, site = line.split("|", 3)
        if (origin, codename, made_by) == ("Debian", suite, "Packages"):
            return site
    raise ImageError(f"this host's apt knows no Debian {suite}: run `apt-get update`, or add it to the sources")


def require_programs(packages: Iterable[tuple[str, str]], wanted_by: str) -> None:
    """`packages`: each program and the Debian package that brings it. Raises ImageError naming those that are missing."""
    missing = sorted({package for program, package in packages if shutil.which(program) is None})
    if missing:
        raise ImageError(f"{wanted_by} needs these Debian packages: apt-get install {' '.join(missing)}")


def run_tool(command: Sequence[str], *, cwd: Path | None = None, timeout_s: float = BUILD_TIMEOUT_S) -> str:
    """Run a program to its end and return what it printed; ImageError with the end of its words if it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ImageError(f"`{' '.join(command)}` took over {timeout_s:.0f} s: can the archive be reached?") from None
    if done.returncode != 0:
        raise ImageError(f"`{' '.join(command)}` ended with {done.returncode}: {done.stdout[-2000:].strip()}")
    return done.stdout


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else holds it meanwhile."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
