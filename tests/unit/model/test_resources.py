"""Resources: exact arithmetic, and what is refused at the edge."""

from dataclasses import fields, replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from paddock.model.errors import InvalidRequest
from paddock.model.resources import (
    MILLI_LIMIT,
    DiskVolume,
    Items,
    Ranges,
    Reservation,
    Resource,
    Resources,
    Scalar,
    Value,
    check_resources,
)

SPANS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=5
)
RESOURCE_LIMIT_COUNT = 6
VALUES: dict[str, st.SearchStrategy[Value]] = {
    "cpus": st.builds(Scalar, milli=st.integers(0, 5000)),
    # A list's equal ones become one, which must stay below the limit too.
    "mem": st.builds(Scalar, milli=st.integers(0, MILLI_LIMIT // RESOURCE_LIMIT_COUNT)),
    "ports": SPANS.map(Ranges.of),
    "ssd": st.builds(Items, names=st.frozensets(st.sampled_from("abcdef"))),
}
RESERVATIONS = st.sampled_from(
    [(), (Reservation(role="prod"),), (Reservation(role="prod"), Reservation(role="prod/web"))]
)


@st.composite
def resource(draw: st.DrawFn) -> Resource:
    name = draw(st.sampled_from(sorted(VALUES)))
    volume = draw(st.sampled_from([None, None, None, DiskVolume(persistence_id="v")]))
    return Resource(
        name=name,
        value=draw(VALUES[name]),
        allocation_role=draw(st.sampled_from(["", "dev"])),
        reservations=draw(RESERVATIONS),
        volume=volume,
        shared=draw(st.sampled_from([False, False, True])),
    )


RESOURCES = st.lists(resource(), max_size=RESOURCE_LIMIT_COUNT).map(Resources.of)


def numbers(ranges: Ranges) -> set[int]:
    return {number for begin, end in ranges.spans for number in range(begin, end + 1)}


@given(one=SPANS.map(Ranges.of), two=SPANS.map(Ranges.of))
def test_ranges_are_sets_of_numbers(one: Ranges, two: Ranges) -> None:
    assert numbers(Ranges.of((*one.spans, *two.spans))) == numbers(one) | numbers(two)
    assert numbers(one.minus(two)) == numbers(one) - numbers(two)
    assert one.contains(two) == (numbers(two) <= numbers(one))
    assert one.count == len(numbers(one))
    for spans in (one.spans, one.minus(two).spans):
        assert all(begin <= end for begin, end in spans)
        assert all(end + 1 < begin for (_, end), (begin, _) in pairwise(spans))


@given(one=RESOURCES, two=RESOURCES)
def test_what_is_added_can_be_taken_away(one: Resources, two: Resources) -> None:
    # Ranges and sets are unions: what both have is not there twice.
    assume(not any(not isinstance(a.value, Scalar) and a.like(b) for a in one for b in two))
    total = one + two
    assert total.contains(one)
    assert total.contains(two)
    assert total - two == one
    assert total - one == two
    assert total - total == Resources()


@given(one=RESOURCES, two=RESOURCES, three=RESOURCES)
def test_addition_has_no_order(one: Resources, two: Resources, three: Resources) -> None:
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)
    assert one + Resources() == one


@given(one=RESOURCES, two=RESOURCES)
def test_what_is_not_contained_cannot_be_taken(one: Resources, two: Resources) -> None:
    if one.contains(two):
        assert one - two + two == one
    else:
        with pytest.raises(ValueError, match="is not contained in"):
            one - two


@given(one=RESOURCES)
def test_normal_form(one: Resources) -> None:
    assert not any(found.is_empty() for found in one)
    assert not any(a.like(b) for i, a in enumerate(one) for b in one.items[i + 1 :])
    assert Resources.of(one) == one
    assert one.allocated_to("x").unallocated() == one.unallocated()
    assert bool(one) == bool(one.items)


@pytest.mark.parametrize("field", sorted(field.name for field in fields(Resource)))
def test_what_differs_in_anything_but_its_amount_is_not_like_it(field: str) -> None:
    others: dict[str, object] = {
        "name": "gpus",
        "value": Items(names=frozenset({"a"})),
        "allocation_role": "dev",
        "reservations": (Reservation(role="prod"),),
        "volume": DiskVolume(persistence_id="v"),
        "revocable": True,
        "shared": True,
        "provider_id": "p",
        "indivisible": True,
    }
    one = Resource(name="cpus", value=Scalar(milli=1))
    other = replace(one, **{field: others[field]})  # type: ignore[arg-type]
    assert one.like(replace(one, value=Scalar(milli=2)))
    assert not one.like(other)
    assert not other.like(one)
    assert other.amounting(Scalar(milli=3)) == replace(other, value=Scalar(milli=3))


@pytest.mark.parametrize("whole", [{"volume": DiskVolume(persistence_id="v")}, {"shared": True}, {"indivisible": True}])
def test_what_is_whole_or_nothing_is_not_even_like_itself(whole: dict[str, object]) -> None:
    one = replace(Resource(name="disk", value=Scalar(milli=1)), **whole)  # type: ignore[arg-type]
    assert not one.like(one)
    assert len(Resources.of((one, one)).items) == 2


def test_cents_add_up() -> None:
    tenth = Resources.scalars({"cpus": 100})
    assert sum((tenth for _ in range(10)), Resources()) == Resources.scalars({"cpus": 1000})
    assert Resources.scalars({"cpus": 300}) - tenth - tenth == tenth


def test_who_it_is_reserved_for_keeps_apart() -> None:
    free = Resources.scalars({"cpus": 1000})
    reserved = Resources.of(
        [Resource(name="cpus", value=Scalar(milli=500), reservations=(Reservation(role="a"), Reservation(role="a/b")))]
    )
    both = free + reserved
    assert len(both.items) == 2
    assert both.scalar_milli("cpus") == 1500
    assert [found.reserved_role for found in both] == ["*", "a/b"]
    assert not free.contains(reserved)
    assert not both.contains(Resources.scalars({"cpus": 1001}))


def test_volumes_and_shared_ones_are_whole_things() -> None:
    volume = Resource(name="disk", value=Scalar(milli=1000), volume=DiskVolume(persistence_id="v"))
    twice = Resources.of([volume, volume])
    assert len(twice.items) == 2
    assert not twice.contains(Resources.of([Resource(name="disk", value=Scalar(milli=500), volume=volume.volume)]))
    shared = Resource(name="disk", value=Scalar(milli=1000), shared=True)
    assert len(Resources.of([shared, shared]).items) == 2


def test_quantities_are_cardinalities() -> None:
    found = Resources.of(
        [
            Resource(name="cpus", value=Scalar(milli=250)),
            Resource(name="ports", value=Ranges.of([(1, 3), (10, 10)])),
            Resource(name="ssd", value=Items(names=frozenset("ab"))),
        ]
    )
    assert found.quantities_milli() == {"cpus": 250, "ports": 4000, "ssd": 2000}


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([Resource(name="cpus", value=Scalar(milli=-1))], "r[0].cpus"),
        ([Resource(name="cpus", value=Scalar(milli=MILLI_LIMIT + 1))], "r[0].cpus"),
        ([Resource(name="ports", value=Ranges(spans=((5, 1),)))], "r[0].ports"),
        ([Resource(name="ports", value=Ranges(spans=((-1, 1),)))], "r[0].ports"),
        ([Resource(name="ports", value=Ranges(spans=((1, 2**63),)))], "r[0].ports"),
        ([Resource(name="", value=Scalar(milli=1))], "r[0].name"),
        ([Resource(name="a;b", value=Scalar(milli=1))], "r[0].name"),
        ([Resource(name="a\0", value=Scalar(milli=1))], "r[0].name"),
        ([Resource(name="x" * 129, value=Scalar(milli=1))], "r[0].name"),
        ([Resource(name="x", value=Scalar(milli=1)), Resource(name="x", value=Items())], "r[1].value"),
    ],
)
def test_bad_resources_are_named(items: list[Resource], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_resources(Resources(tuple(items)), "r")
    assert caught.value.field == field


@given(one=RESOURCES)
def test_good_ones_pass(one: Resources) -> None:
    assert check_resources(one, "r") is one
