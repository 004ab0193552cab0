"""Persistent volumes as values: keys, directories, container paths, and what of resources an agent was configured with."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paddock.model.errors import InvalidRequest
from paddock.model.ids import check_id, check_role
from paddock.model.resource_text import parse_resources
from paddock.model.resources import DiskVolume, Reservation, Resource, Resources, Scalar
from paddock.model.volumes import (
    VolumeKey,
    as_configured,
    check_container_path,
    container_path,
    counted,
    find_clash,
    key_of,
    volume_directory,
)


def volume(persistence_id: str = "v1", path: str = "", role: str = "r", *, shared: bool = False) -> Resource:
    return Resource(
        name="disk",
        value=Scalar(milli=1000),
        reservations=(Reservation(role=role, principal="uid:0", dynamic=True),),
        volume=DiskVolume(persistence_id=persistence_id, container_path=path),
        shared=shared,
    )


def accepted(check: object, *arguments: str) -> bool:
    assert callable(check)
    try:
        check(*arguments)
    except InvalidRequest:
        return False
    return True


ROLES = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: accepted(check_role, text, "role"))
IDS = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: accepted(check_id, text, "id"))


@given(st.tuples(ROLES, IDS), st.tuples(ROLES, IDS))
@example(("a/b", "c"), ("a", "b"))
@example(("a/" * 200 + "b", "c"), ("a/" * 200 + "c", "c"))
def test_no_two_volumes_share_a_directory_and_none_is_inside_another(
    one: tuple[str, str], two: tuple[str, str]
) -> None:
    first, second = (volume_directory("/root", VolumeKey(role=role, persistence_id=name)) for role, name in (one, two))
    assert (first == second) == (one == two)
    for path in (first, second):
        parts = path.split("/")
        assert parts[:3] == ["", "root", "roles"]
        assert len(parts) == 5
        assert all(0 < len(part.encode()) <= 255 and part not in {".", ".."} for part in parts[1:])


@pytest.mark.parametrize("path", ["store", "a/b/c", ".hidden", "stdout.d", "a/stdout", "blank inside", "ü"])
def test_places_in_the_sandbox(path: str) -> None:
    check_container_path(DiskVolume(persistence_id="v", container_path=path), "path")


@pytest.mark.parametrize(
    "path",
    [
        "/etc",
        "..",
        "a/../b",
        "../x",
        "a//b",
        "a/",
        ".",
        "./a",
        "a\0b",
        "a\nb",
        "stdout",
        "stderr",
        "stdout/x",
        "x" * 256,
        "x/" * 600 + "x",
    ],
)
def test_what_is_no_place_in_the_sandbox(path: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^volume\.container_path"):
        check_container_path(DiskVolume(persistence_id="v", container_path=path), "volume.container_path")


def test_where_nobody_said_so_it_is_under_its_id() -> None:
    assert container_path(DiskVolume(persistence_id="v1")) == "v1"
    with pytest.raises(InvalidRequest):
        check_container_path(DiskVolume(persistence_id="stdout"), "path")


@given(st.text("ab./\0\n ü", max_size=9))
def test_what_is_accepted_stays_in_the_sandbox(path: str) -> None:
    found = DiskVolume(persistence_id="v", container_path=path)
    if accepted(check_container_path, found, "path"):  # type: ignore[arg-type]
        assert not any(part in {"", ".", ".."} for part in container_path(found).split("/"))
        assert "\0" not in container_path(found)


@pytest.mark.parametrize(
    ("paths", "clashes"),
    [(("a", "b"), False), (("a", "a"), True), (("a", "a/b"), True), (("a/b", "a"), True), (("a/b", "a/c"), False)],
)
def test_two_volumes_of_one_task(paths: tuple[str, str], *, clashes: bool) -> None:
    volumes = [volume(f"v{index}", path) for index, path in enumerate(paths)]
    assert bool(find_clash((*Resources.scalars({"cpus": 1}), *volumes))) is clashes


def test_what_an_agent_was_configured_with() -> None:
    (static,) = parse_resources("disk(prod):1")
    refined = replace(static, reservations=(*static.reservations, Reservation(role="prod/web", dynamic=True)))
    assert as_configured(static) is static
    assert as_configured(refined) == static
    assert as_configured(volume(shared=True)) == Resource(name="disk", value=Scalar(milli=1000))
    assert key_of(volume()) == VolumeKey(role="r", persistence_id="v1")


def test_a_volumes_disk_is_taken_by_the_volume_and_what_is_reserved_is_taken_as_it_was_configured() -> None:
    reserved = Reservation(role="r", dynamic=True)
    asked = [replace(each, reservations=(reserved,)) for each in parse_resources("cpus:1;disk:2")]
    plain = parse_resources("cpus:1")
    assert counted(Resources((*asked, *plain, volume())).allocated_to("r")) == parse_resources("cpus:2;disk:2")
    assert counted(plain.allocated_to("r")) == plain
