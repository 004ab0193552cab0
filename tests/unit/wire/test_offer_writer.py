"""Offers that are written as bytes are what protobuf would have written (labels in any order), whatever they share."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.model.ids import AgentId, FrameworkId, OfferId
from paddock.model.offer import Offer
from paddock.model.resource_text import parse_resources
from paddock.wire import convert
from paddock.wire.v1.scheduler_service_pb2 import SchedulerEvent
from tests.unit.wire import strategies

OFFERS = SchedulerEvent.Offers
NUMBER = OFFERS.OFFERS_FIELD_NUMBER


def check(writer: convert.OfferWriter, offers: list[Offer]) -> None:
    expected = OFFERS(offers=[convert.offer_to_wire(offer) for offer in offers])
    written = writer.written(offers, NUMBER)
    assert len(written) == expected.ByteSize()
    assert OFFERS.FromString(written) == expected


@given(offers=st.lists(strategies.offers, min_size=1, max_size=3), data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_bytes_are_protobufs(offers: list[Offer], data: st.DataObject) -> None:
    """Each offer again with the parts of another: like agents share them, and texts and plans differ."""
    mixed = [
        data.draw(st.sampled_from(offers))._replace(
            resources=other.resources, attributes=other.attributes, domain=other.domain
        )
        for other in offers
    ]
    writer = convert.OfferWriter()
    for batch in (offers, mixed, mixed):
        check(writer, batch)


def plain(**fields: str) -> Offer:
    return Offer(
        OfferId("m-1-O1"),
        FrameworkId("f"),
        AgentId("a"),
        "eng/web",
        parse_resources("cpus:2;ports:[1-9]").allocated_to("eng/web"),
        **fields,  # type: ignore[arg-type]
    )


def test_texts_of_every_length_around_one_byte_of_length() -> None:
    writer = convert.OfferWriter()
    lengths = (0, 1, 126, 127, 128, 129, 255)
    offers = [plain(hostname="h" * length, tcp_address="é" * (length // 2)) for length in lengths]
    offers += [plain(unix_address="u" * length, tcp_address="t" * length) for length in lengths]
    check(writer, offers)


def test_what_agents_run_is_told() -> None:
    writer = convert.OfferWriter()
    offers = [plain()._replace(containerizers=types) for types in ((), ("native",), ("docker", "native"), ("é" * 90,))]
    check(writer, offers)
    check(writer, offers)


def test_the_same_amounts_in_many_roles_some_of_them_reserved() -> None:
    """Only what differs in its role alone may be put together; under a name, a value of another kind is another one."""
    texts = ("cpus:2;ports:[1-9]", "cpus:2;cpus(a):2;ports:[1-9];ssd:{x}", "ports:2;cpus:[1-9];ssd:2")
    resources = [parse_resources(text) for text in texts]
    roles = ("a", "b", "a/b", "r" * 200)
    offers = [
        plain()._replace(role=role, resources=each.allocated_to(role) if role != "b" else each)
        for each in resources
        for role in roles
    ]
    check(convert.OfferWriter(), offers)


def test_more_shapes_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is forgotten must not be found again under the id of another object that was made in its place."""
    monkeypatch.setattr(convert.OfferWriter, "LIMIT_COUNT", 2)
    writer = convert.OfferWriter()
    for number in range(20):
        offers = [
            plain()._replace(resources=parse_resources(f"cpus:{number + 1}"), containerizers=(f"{number}",))
            for _ in range(3)
        ]
        check(writer, offers)
