"""Sealed plans of one shape: byte for byte what sealing each by itself gives."""

import json
import uuid
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentd.containerizer import plan_sealer
from agentd.containerizer.plan_sealer import PlanSealer
from paddock.launch import plan_file

GOLDEN = Path(__file__).parents[1] / "launch" / "golden" / "plan-1.json"
identities = st.uuids().map(lambda value: value.hex)


def document(container_id: str, **changes: Any) -> dict[str, object]:
    text = GOLDEN.read_text().replace('"c1"', f'"{container_id}"').replace("/c1", f"/{container_id}")
    fields: dict[str, object] = json.loads(text)
    return {**fields, **changes}


@given(st.lists(st.tuples(identities, identities, st.sampled_from(["a", "bb", "c c"])), min_size=2, max_size=6))
def test_the_same_as_each_by_itself(plans: list[tuple[str, str, str]]) -> None:
    sealer = PlanSealer()
    for container_id, spare_id, word in plans:
        spare = f"/var/lib/paddock/records/spare-{spare_id}"
        wanted = document(container_id, argv=["sh", "-c", f"{word} {container_id}"], spare_record=spare)
        assert sealer.seal(wanted, (container_id, spare_id)) == plan_file.seal(wanted)


def test_it_is_made_once(monkeypatch: Any) -> None:
    sealer = PlanSealer()
    calls = []

    def seal(wanted: dict[str, object]) -> bytes:
        calls.append(wanted["container_id"])
        return b"sealed " + str(wanted["container_id"]).encode()

    monkeypatch.setattr(plan_file, "seal", seal)
    first, second, third = (uuid.uuid4().hex for _number in range(3))
    assert sealer.seal(document(first), (first,)) == b"sealed " + first.encode()
    assert sealer.seal(document(second), (second,)) == b"sealed " + second.encode()
    sealer.seal(document(third, nice=5), (third,))
    assert calls == [first, third]


def test_a_short_id_is_never_replaced() -> None:
    sealer = PlanSealer()
    for container_id in ("sh", "v1", "c1"):
        assert sealer.seal(document(container_id), (container_id,)) == plan_file.seal(document(container_id))


def test_only_the_last_shapes_are_remembered() -> None:
    sealer = PlanSealer()
    container_id = uuid.uuid4().hex
    for number in range(plan_sealer.MAX_COUNT + 9):
        sealer.seal(document(container_id, max_completion_ms=number), (container_id,))
    assert len(sealer._shapes) == plan_sealer.MAX_COUNT


def test_a_new_id_may_be_an_earlier_spares() -> None:
    sealer = PlanSealer()
    first, second, spare, other = (uuid.uuid4().hex for _number in range(4))
    for container_id, spare_id in ((first, spare), (spare, other), (second, first)):
        wanted = document(container_id, spare_record=f"/var/lib/paddock/records/spare-{spare_id}")
        assert sealer.seal(wanted, (container_id, spare_id)) == plan_file.seal(wanted)


@given(
    st.sampled_from("abfnrtu0"),
    st.sampled_from("abfnrtu0"),
    st.sampled_from(["\n", "\t", "\u00e9", "\u2028", "\\", '"']),
)
def test_an_id_behind_an_escape(one: str, other: str, escaped: str) -> None:
    sealer = PlanSealer()
    for begin in (one, other):
        container_id = begin + "e9" * 12
        wanted = document(container_id, argv=["sh", "-c", f"{escaped}{container_id} {escaped}{container_id[1:]}"])
        assert sealer.seal(wanted, (container_id,)) == plan_file.seal(wanted)


def test_a_long_name_of_which_a_part_is_kept() -> None:
    sealer = PlanSealer()
    for container_id in (uuid.uuid4().hex, uuid.uuid4().hex):
        wanted = document(container_id, argv=["/" + "x" * 240 + container_id])
        assert sealer.seal(wanted, (container_id,)) == plan_file.seal(wanted)


def test_ids_that_overlap() -> None:
    sealer = PlanSealer()
    middle = "5" * 12
    for one, other in (("a" * 12 + middle, middle + "b" * 12), ("c" * 12 + middle, middle + "b" * 12)):
        for word in (one + other[12:], one[:12] + other):
            wanted = document(one, argv=["sh", "-c", word], spare_record=f"/var/lib/paddock/records/spare-{other}")
            assert sealer.seal(wanted, (one, other)) == plan_file.seal(wanted)
