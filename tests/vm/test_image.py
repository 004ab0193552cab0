"""The image's recipe and cache, without building one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from testbed import debian
from tests.vm import image


def test_every_part_of_the_recipe_decides_the_key() -> None:
    changed = [
        replace(image.RECIPE, suite="trixie"),
        replace(image.RECIPE, kernel_package="linux-image-amd64"),
        replace(image.RECIPE, packages=image.RECIPE.packages[:-1]),
        replace(image.RECIPE, files=image.RECIPE.files[:-1]),
        replace(image.RECIPE, size_bytes=1),
    ]
    assert len({recipe.key() for recipe in (image.RECIPE, *changed)}) == 1 + len(changed)


def test_the_environment_chooses_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(debian.CACHE_VARIABLE, raising=False)
    assert debian.cache_directory() == Path("/var/cache/paddock-tests")
    monkeypatch.setenv(debian.CACHE_VARIABLE, "/elsewhere")
    assert debian.cache_directory() == Path("/elsewhere")


def test_a_missing_program_is_named_by_its_debian_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(debian.ImageError, match=r"apt-get install .*debootstrap.*qemu-system-x86"):
        image.image()


def test_a_build_that_fails_leaves_nothing_in_the_cache_but_its_lock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(debian.CACHE_VARIABLE, str(tmp_path))
    with pytest.raises(debian.ImageError, match=r"knows no Debian no-such-suite: run `apt-get update`"):
        image.image(replace(image.RECIPE, suite="no-such-suite"))
    assert {path.suffix for path in tmp_path.iterdir()} == {".lock"}


def test_an_image_in_the_cache_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(debian.CACHE_VARIABLE, str(tmp_path))
    home = tmp_path / image.RECIPE.key()
    home.mkdir()
    assert image.image() == image.Image(kernel=home / "vmlinuz", disk=home / "root.img")
