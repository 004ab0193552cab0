"""The text form: what is printed parses back to the same, what is not of the form is refused by name, nothing else happens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.model.errors import InvalidRequest
from paddock.model.resource_text import (
    Attribute,
    format_label,
    format_resources,
    format_scalar,
    named_in,
    parse_attributes,
    parse_resources,
    parse_scalar_milli,
)
from paddock.model.resources import MILLI_LIMIT, DiskVolume, Items, Ranges, Reservation, Resource, Resources, Scalar

ROLES = st.sampled_from([(), (Reservation(role="prod"),), (Reservation(role="prod/web"),)])
SPANS = st.lists(
    st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)).map(lambda pair: (min(pair), max(pair))),
    min_size=1,
    max_size=3,
)
ITEM_NAMES = st.text(st.sampled_from("abc-_./0"), min_size=1, max_size=5)
RESOURCES = st.lists(
    st.builds(
        Resource,
        name=st.sampled_from(["cpus", "mem"]),
        value=st.builds(Scalar, milli=st.integers(0, 10**9)),
        reservations=ROLES,
    )
    | st.builds(Resource, name=st.just("ports"), value=SPANS.map(Ranges.of), reservations=ROLES)
    | st.builds(
        Resource,
        name=st.just("ssd"),
        value=st.builds(Items, names=st.frozensets(ITEM_NAMES, max_size=3)),
        reservations=ROLES,
    ),
    max_size=6,
).map(Resources.of)


@given(resources=RESOURCES)
def test_what_is_printed_parses_back(resources: Resources) -> None:
    assert parse_resources(format_resources(resources)) == resources


@given(milli=st.integers(0, MILLI_LIMIT))
def test_every_amount_has_its_text(milli: int) -> None:
    assert parse_scalar_milli("cpus", format_scalar(milli), "f") == milli


PIECES = st.sampled_from(
    [*"cpusmem:;()[]{},-+.0123456789eE \t\n\0é²", "mem", "MiB", "nan", "inf", "ports", "1e99", "[1-2]", "prod"]
)


@given(text=st.text() | st.lists(PIECES, max_size=15).map("".join))
def test_garbage_is_refused_or_means_something(text: str) -> None:
    for parse in (parse_resources, parse_attributes):
        try:
            parse(text)
        except InvalidRequest as error:
            refusal = error
        else:
            continue
        assert refusal.field.startswith(("resources", "attributes"))
        assert refusal.remedy
    named_in(text)


def test_mesos_example() -> None:
    found = parse_resources("cpus:4;mem:8192;disk:40960;ports:[31000-32000];ssd:{a,b};cpus(prod):2")
    assert [resource.name for resource in found] == ["cpus", "mem", "disk", "ports", "ssd", "cpus"]
    assert found.scalar_milli("cpus") == 6000
    assert found.items[3].value == Ranges(spans=((31000, 32000),))
    assert found.items[4].value == Items(names=frozenset("ab"))
    assert found.items[5].reserved_role == "prod"
    assert parse_resources("") == Resources()
    assert parse_resources("cpus(*):1") == Resources.scalars({"cpus": 1000})
    assert parse_resources(" cpus : 1 ; cpus:0.5; ") == Resources.scalars({"cpus": 1500})


def test_what_the_form_cannot_say_is_in_the_label() -> None:
    stack = (Reservation(role="eng"), Reservation(role="eng/web"))
    volume = Resource(
        name="disk", value=Scalar(milli=5_000), reservations=stack, volume=DiskVolume(persistence_id="v1"), shared=True
    )
    cpus = Resource(name="cpus", value=Scalar(milli=500), revocable=True, indivisible=True)
    assert format_label(volume) == "disk(eng>eng/web)#v1&"
    assert format_resources(Resources((volume, cpus))) == "disk(eng>eng/web)#v1&:5;cpus!~:0.5"


@pytest.mark.parametrize(
    ("name", "text", "milli"),
    [
        ("cpus", "0.25", 250),
        ("cpus", ".5", 500),
        ("cpus", "1.", 1000),
        ("cpus", "1e3", 1_000_000),
        ("cpus", "0.0005", 0),  # three decimals, half to even
        ("cpus", "0.0015", 2),
        ("cpus", "1e12", MILLI_LIMIT),
        ("mem", "512", 512_000),
        ("mem", "512MiB", 512_000),
        ("mem", "2GiB", 2_048_000),
        ("disk", "1TiB", 1_048_576_000),
        ("mem", "512 KiB", 500),
        ("mem", "1048576B", 1000),
        ("mem", "-0", 0),
    ],
)
def test_amounts(name: str, text: str, milli: int) -> None:
    assert parse_scalar_milli(name, text, "f") == milli


@pytest.mark.parametrize(
    "text",
    [
        *(
            "nan",
            "NaN",
            "inf",
            "-inf",
            "Infinity",
            "-1",
            "-0.001",
            "1e13",
            "1000000000000.001",
            "1e99",
            "1e999",
            "",
            " ",
        ),
        *("1,5", "0x10", "1_000", "1 2", "+", ".", "1e", "²", "١", "1GB", "1gib", "1MiBMiB", "9" * 400, "1\0"),
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_scalar_milli("mem", text, "--mem")
    assert caught.value.field == "--mem"


def test_only_memory_and_disk_have_units() -> None:
    with pytest.raises(InvalidRequest):
        parse_scalar_milli("cpus", "1MiB", "cpus")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "cpus",
            "cpus:",
            ":1",
            "cpus=1",
            "cpus:1 mem:2",
            "cpus(:1",
            "cpus():1",
            "cpus(a b):1",
            "cpus(a//b):1",
            "cpus(..):1",
        ),
        *(
            "ports:[1]",
            "ports:[2-1]",
            "ports:[1-2",
            "ports:[1-]",
            "ports:[a-b]",
            "ports:[1-9223372036854775808]",
            "ports:[-1-2]",
        ),
        *("ssd:{a,a}", "ssd:{a,}", "ssd:{a", "cpus:1;cpus:{a}", "cp us:1", "a[b]:1", "ports:[1-2]x", "cpus:-1"),
    ],
)
def test_what_is_not_of_the_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_resources(text)


def test_zero_is_said_apart_from_nothing() -> None:
    assert parse_resources("cpus:0") == Resources()
    assert named_in("cpus:0;mem(x):1") == {"cpus", "mem"}
    assert named_in("") == frozenset()


def test_attributes() -> None:
    assert parse_attributes("rack:r1;level:10;keys:[1000-1500];url:a:b\nzone:1.5x;version:1.2.3") == (
        Attribute(name="rack", value="r1"),
        Attribute(name="level", value=Scalar(milli=10_000)),
        Attribute(name="keys", value=Ranges(spans=((1000, 1500),))),
        Attribute(name="url", value="a:b"),
        Attribute(name="zone", value="1.5x"),
        Attribute(name="version", value="1.2.3"),
    )


@pytest.mark.parametrize("text", ["rack", "rack:", ":r1", "set:{a,b}", "a:b\0", "level:-1", "keys:[1-]"])
def test_what_is_no_attribute_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_attributes(text)
