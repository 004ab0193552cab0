"""Cutting resources out of an offer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paddock.model.resource_text import parse_resources
from paddock.model.resources import DiskVolume, Resource, Resources, Scalar
from paddock.scheduler.taking import take, take_ports


def test_what_is_taken_carries_the_offers_marks() -> None:
    offered = parse_resources("cpus:4;mem:1024").allocated_to("web")
    taken = take(offered, {"cpus": 250, "mem": 64_000})
    assert taken is not None
    assert taken == parse_resources("cpus:0.25;mem:64").allocated_to("web")
    assert offered.contains(taken)


def test_too_little_of_one_is_nothing() -> None:
    assert take(parse_resources("cpus:4;mem:32"), {"cpus": 250, "mem": 64_000}) is None
    assert take(parse_resources("cpus:4"), {"disk": 1}) is None


def test_reserved_ones_go_first() -> None:
    taken = take(parse_resources("cpus:2;cpus(web):1"), {"cpus": 1_500})
    assert taken == parse_resources("cpus(web):1;cpus:0.5")


def test_volumes_shared_and_revocable_ones_are_left_alone() -> None:
    value = Scalar(milli=9_000)
    offered = Resources.of(
        (
            Resource(name="disk", value=value, volume=DiskVolume(persistence_id="v")),
            Resource(name="disk", value=value, shared=True),
            Resource(name="disk", value=value, revocable=True),
        )
    )
    assert take(offered, {"disk": 1}) is None


@given(
    offered=st.lists(st.tuples(st.sampled_from(["cpus", "mem"]), st.integers(1, 50), st.booleans()), max_size=6),
    cpus=st.integers(0, 120),
    mem=st.integers(0, 120),
)
def test_exactly_what_was_asked_or_nothing(offered: list[tuple[str, int, bool]], cpus: int, mem: int) -> None:
    text = ";".join(f"{name}{'(web)' if reserved else ''}:{amount}" for name, amount, reserved in offered)
    whole = parse_resources(text).allocated_to("web")
    wanted = {"cpus": cpus * 1000, "mem": mem * 1000}
    taken = take(whole, wanted)
    enough = all(whole.scalar_milli(name) >= milli for name, milli in wanted.items())
    assert (taken is not None) is enough
    if taken is not None:
        assert whole.contains(taken)
        assert {name: taken.scalar_milli(name) for name in wanted} == wanted


def test_ports_are_taken_by_number_or_as_they_come() -> None:
    offered = parse_resources("ports:[31000-31003]").allocated_to("web")
    taken = take_ports(offered, [0, 31_000, 31_002, 31_000, 0])
    assert taken is not None
    resources, ports = taken
    assert ports == (31_001, 31_000, 31_002, 31_000, 31_003)
    assert resources == offered
    assert take_ports(offered, [31_001]) == (parse_resources("ports:[31001-31001]").allocated_to("web"), (31_001,))
    assert take_ports(offered, []) == (Resources(), ())


def test_a_port_that_is_not_offered_is_nothing() -> None:
    assert take_ports(parse_resources("ports:[31000-31001]"), [31_002]) is None
    assert take_ports(parse_resources("ports:[31000-31001]"), [0, 0, 0]) is None
    assert take_ports(parse_resources("cpus:1"), [0]) is None
    assert take_ports(parse_resources("ports:[0-0,65536-70000]"), [0]) is None
    assert take_ports(Resources.of([Resource(name="ports", value=Scalar(milli=9_000))]), [0]) is None


def test_a_reserved_port_is_taken_as_such() -> None:
    taken = take_ports(parse_resources("ports:[1-2];ports(web):[2-3]"), [2, 3])
    assert taken is not None
    assert taken[0] == parse_resources("ports(web):[2-3]")
