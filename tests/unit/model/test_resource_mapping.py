"""Resources as a mapping: what is read, and what is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.model.errors import InvalidRequest
from paddock.model.resource_mapping import read_resource, read_resources
from paddock.model.resource_text import format_label, format_value, parse_resources
from paddock.model.resources import DiskVolume, Ranges, Reservation, Resource, Resources, Scalar


def test_each_part_of_a_key_says_something_of_the_resource() -> None:
    found = read_resource("disk(eng>eng/web)#v1!~&", 5, "total")
    assert found == Resource(
        name="disk",
        value=Scalar(milli=5_000),
        reservations=(Reservation(role="eng"), Reservation(role="eng/web")),
        volume=DiskVolume(persistence_id="v1"),
        revocable=True,
        shared=True,
        indivisible=True,
    )
    assert read_resource("cpus(*)", 1, "total").reservations == ()


def test_values_are_those_of_the_text_form() -> None:
    found = read_resources({"cpus": 0.25, "mem": "2GiB", "ports": "[1-3,9-9]", "ssd": "{a,b}"}, "total")
    assert found == parse_resources("cpus:0.25;mem:2GiB;ports:[1-3,9-9];ssd:{a,b}")
    assert read_resource("ports", "[]", "total").value == Ranges()


def test_nothing_is_added_up_or_left_out() -> None:
    assert read_resources({"cpus": 0, "mem": -1}, "limits").items == (
        Resource(name="cpus", value=Scalar(milli=0)),
        Resource(name="mem", value=Scalar(milli=-1_000)),
    )


@pytest.mark.parametrize(
    ("label", "value", "words"),
    [
        ("cpus(", 1, r"total: 'cpus\('"),
        (3, 1, "total: 3 "),
        ("cpus(a//b)", 1, r"total.cpus\(a//b\): 'a//b'"),
        ("cpus", "many", "total.cpus: 'many'"),
        ("cpus", True, "total.cpus: True"),
        ("cpus", None, "total.cpus: None .*write a number"),
        ("cpus", float("nan"), "finite"),
        ("ports", "[5-1]", "total.ports: .*upwards"),
    ],
)
def test_a_mistake_is_named_with_its_place(label: object, value: object, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_resource(label, value, "total")


@settings(max_examples=60, deadline=None)
@given(label=st.text(max_size=12) | st.integers(), value=st.text(max_size=8) | st.floats() | st.none() | st.integers())
def test_whatever_is_said_is_read_or_refused_and_what_is_read_is_printed_the_same(label: object, value: object) -> None:
    with suppress(InvalidRequest):
        found = read_resource(label, value, "total")
        if not isinstance(value, int | float):
            again = read_resource(format_label(found), format_value(found.value), "total")
            assert Resources((again,)).items == (found,)
