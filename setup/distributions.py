"""Builds wheel and source distribution, with their manual pages or not at all.

usage: python -m setup.distributions [--sdist-only] DIRECTORY
"""

from __future__ import annotations

import os
import sys
import tarfile
import zipfile
from pathlib import Path

from hatchling.build import build_sdist, build_wheel

_PROOF = "man8/agentd.8"


def build(directory: Path, *, wheel: bool) -> list[Path]:
    """Into `directory`, which may be new. Raises SystemExit when the pages are not in there."""
    directory.mkdir(parents=True, exist_ok=True)
    built = [directory / build_sdist(str(directory))]
    with tarfile.open(built[0]) as archive:
        _prove(built[0], archive.getnames())
    if wheel:
        built.append(directory / build_wheel(str(directory)))
        with zipfile.ZipFile(built[1]) as archive:
            _prove(built[1], archive.namelist())
    return built


def _prove(path: Path, names: list[str]) -> None:
    if not any(name.endswith(_PROOF) for name in names):
        path.unlink()
        raise SystemExit("the manual pages could not be made: see the warning above")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--sdist-only"]
    target = Path(words[0]).resolve()
    os.chdir(Path(__file__).resolve().parents[1])
    for each in build(target, wheel="--sdist-only" not in sys.argv):
        print(each)
