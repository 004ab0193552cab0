"""One rule of the allocator after another, as a master sees it."""

from __future__ import annotations

import random

import pytest

from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.filters import life_ns
from masterd.allocator.interface import AllocatorSettings, FrameworkTraits, Grant
from masterd.allocator.quota import Quota
from masterd.allocator.reservations import role_line
from paddock.model.framework import FrameworkCapability
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.offer import REFUSE_LIMIT_MS
from paddock.model.resource_text import format_resources, parse_resources
from paddock.model.resources import Reservation, Resource, Resources, Scalar

SECOND_NS = 1_000_000_000


class Desk:
    """An allocator with short words."""

    def __init__(self, settings: AllocatorSettings | None = None) -> None:
        self.allocator = DrfAllocator(settings or AllocatorSettings())
        self.now_ns = 0

    def agent(self, name: str, whole: str = "cpus:2;mem:1024") -> None:
        self.allocator.add_agent(AgentId(name), parse_resources(whole), {}, Resources())

    def framework(self, name: str, *roles: str, capabilities: tuple[FrameworkCapability, ...] = ()) -> None:
        self.allocator.add_framework(
            FrameworkId(name),
            FrameworkTraits(roles=frozenset(roles or ("*",)), capabilities=frozenset(capabilities)),
            active=True,
        )

    def wants_run(self) -> bool:
        return self.allocator.wants_run

    def run(self, *, batch: bool = False) -> list[Grant]:
        return list(self.allocator.run(now_ns=self.now_ns, shuffler=random.Random(3), batch=batch))

    def words(self, *, batch: bool = False) -> list[str]:
        return sorted(
            f"{g.framework_id}/{g.role}@{g.agent_id} {format_resources(g.resources)}" for g in self.run(batch=batch)
        )

    def back(self, grant: Grant, *, refuse_ms: int = 0, part: str | None = None) -> None:
        resources = grant.resources if part is None else parse_resources(part)
        self.allocator.recover(
            grant.framework_id, grant.role, grant.agent_id, resources, refuse_ms=refuse_ms, now_ns=self.now_ns
        )


def test_two_idle_agents_are_split_between_two_roles() -> None:
    desk = Desk()
    desk.framework("f1", "r1")
    desk.framework("f2", "r2")
    desk.agent("a1")
    desk.agent("a2")
    grants = desk.run()
    assert {grant.framework_id for grant in grants} == {"f1", "f2"}
    assert {grant.agent_id for grant in grants} == {"a1", "a2"}


def test_agents_go_round_by_weight() -> None:
    desk = Desk()
    desk.allocator.update_weights({"r2": 2000})
    desk.framework("f1", "r1")
    desk.framework("f2", "r2")
    for number in range(9):
        desk.agent(f"a{number}")
    owners = [grant.framework_id for grant in desk.run()]
    assert (owners.count(FrameworkId("f1")), owners.count(FrameworkId("f2"))) == (3, 6)


def test_within_a_role_shares_are_of_the_whole_cluster() -> None:
    desk = Desk()
    desk.framework("f1", "r1")
    desk.agent("a1", "cpus:2;mem:1024")
    desk.run()
    desk.framework("f2", "r1")
    desk.framework("f3", "r2")
    desk.agent("a2", "cpus:6;mem:1024")
    desk.run()
    assert desk.allocator.framework_share("r1", FrameworkId("f1")) == desk.allocator.role_share("r1")
    share = desk.allocator.framework_share("r1", FrameworkId("f1"))
    assert (share.numerator, share.denominator) == (1, 2)


def test_reserved_resources_go_to_the_subtree_only() -> None:
    desk = Desk()
    desk.framework("top", "a")
    desk.framework("below", "a/b")
    desk.framework("else", "c")
    desk.agent("n", "cpus(a/b):2;mem(a/b):100;cpus:1;mem:64")
    words = desk.words()
    reserved = [word for word in words if "(a/b)" in word]
    assert reserved
    assert all(word.startswith("below/a/b@n ") for word in reserved)


def test_a_role_uses_its_ancestors_reservations() -> None:
    desk = Desk()
    desk.framework("f", "a/b/c")
    desk.agent("n", "cpus:1;mem:64;cpus(a):1;mem(a/b):64;cpus(a/b/c):1;cpus(a/x):1")
    assert desk.words() == ["f/a/b/c@n cpus:1;mem:64;cpus(a):1;mem(a/b):64;cpus(a/b/c):1"]


@pytest.mark.parametrize(
    ("role", "line"),
    [("*", ("*",)), ("a", ("*", "a")), ("a/b/c", ("*", "a", "a/b", "a/b/c"))],
)
def test_the_line_of_a_role(role: str, line: tuple[str, ...]) -> None:
    assert role_line(role) == line


@pytest.mark.parametrize(
    ("whole", "offered"),
    [
        ("cpus:0.01", True),
        ("cpus:0.009;mem:31.999", False),
        ("mem:32", True),
        ("ports:[1-100]", False),
        ("cpus:0.005;cpus(r):0.005", True),
    ],
)
def test_the_smallest_offer(whole: str, offered: bool) -> None:
    desk = Desk()
    desk.framework("f", "r")
    desk.agent("a", whole)
    assert bool(desk.run()) is offered


def test_without_a_minimum_anything_is_offered() -> None:
    desk = Desk(AllocatorSettings(minimum=()))
    desk.framework("f")
    desk.agent("a", "ports:[1-1]")
    assert desk.words() == ["f/*@a ports:[1-1]"]


def test_agents_with_gpus_are_for_those_who_know_them() -> None:
    desk = Desk()
    desk.framework("plain")
    desk.agent("a", "cpus:1;mem:64;gpus:1")
    assert desk.run() == []
    desk.framework("gpu", capabilities=(FrameworkCapability.GPU_RESOURCES,))
    assert [grant.framework_id for grant in desk.run()] == ["gpu"]


def test_what_is_not_understood_is_not_offered() -> None:
    whole = Resources(
        (
            Resource(name="cpus", value=Scalar(milli=1000)),
            Resource(name="cpus", value=Scalar(milli=500), revocable=True),
            Resource(name="disk", value=Scalar(milli=9), shared=True),
            Resource(
                name="mem",
                value=Scalar(milli=64_000),
                reservations=(Reservation(role="r"), Reservation(role="r/s")),
            ),
        )
    )
    every = (
        FrameworkCapability.REVOCABLE_RESOURCES,
        FrameworkCapability.SHARED_RESOURCES,
        FrameworkCapability.RESERVATION_REFINEMENT,
    )
    for capabilities, count in (((), 1), (every, 4)):
        desk = Desk()
        desk.framework("f", "r/s", capabilities=capabilities)
        desk.allocator.add_agent(AgentId("a"), whole, {}, Resources())
        (grant,) = desk.run()
        assert len(grant.resources.items) == count


def test_the_little_that_is_due_is_given_where_something_that_can_be_revoked_makes_it_worth_an_offer() -> None:
    desk = Desk()
    for name, role in (("f", "r"), ("g", "s")):
        desk.framework(name, role, capabilities=(FrameworkCapability.REVOCABLE_RESOURCES,))
    whole = parse_resources("cpus:1;mem:64")
    spare = Resource(name="cpus", value=Scalar(milli=2000), revocable=True)
    desk.allocator.add_agent(AgentId("a"), Resources.of((*whole, spare)), {}, Resources())
    desk.allocator.add_agent(
        AgentId("b"),
        parse_resources("cpus:0.995"),
        {(FrameworkId("f"), "r"): parse_resources("cpus:0.995")},
        Resources(),
    )
    cpu, none = {"cpus": 1000}, {"mem": 0}
    desk.allocator.set_quota("r", Quota(guarantees_milli=cpu, limits_milli={**cpu, **none}))
    given = {grant.framework_id: grant.resources.quantities_milli() for grant in desk.run()}
    assert given == {"f": {"cpus": 2005}, "g": {"cpus": 995, "mem": 64_000}}


def test_only_what_events_named_is_looked_at() -> None:
    desk = Desk()
    desk.framework("f")
    desk.agent("a1")
    assert [grant.agent_id for grant in desk.run()] == ["a1"]
    assert not desk.wants_run()
    assert desk.run() == []
    desk.agent("a2")
    assert desk.wants_run()
    assert [grant.agent_id for grant in desk.run()] == ["a2"]


@pytest.mark.parametrize("at_once", [True, False])
def test_what_came_back_is_offered_at_once_where_wanted(at_once: bool) -> None:
    desk = Desk(AllocatorSettings(run_on_recovery=at_once))
    desk.framework("f")
    desk.agent("a1")
    (grant,) = desk.run()
    desk.back(grant)
    assert desk.wants_run() is at_once
    assert len(desk.run()) == int(at_once)
    assert len(desk.run(batch=True)) == int(not at_once)


def test_a_refusal_hides_the_same_and_less_but_not_more() -> None:
    desk = Desk()
    desk.framework("f")
    desk.agent("a", "cpus:2;mem:1024")
    (grant,) = desk.run()
    desk.back(grant, refuse_ms=60_000, part="cpus:1;mem:512")
    assert desk.words() == []
    desk.back(grant, part="cpus:0.5;mem:512")
    assert desk.words() == ["f/*@a cpus:1.5;mem:1024"]


def test_a_refusal_is_one_frameworks_in_one_role_on_one_agent() -> None:
    desk = Desk()
    desk.framework("f", "r", "s")
    desk.agent("a1")
    (grant,) = desk.run()
    desk.back(grant, refuse_ms=60_000)
    other = {"r": "s", "s": "r"}[grant.role]
    assert [(g.role, g.agent_id) for g in desk.run()] == [(other, "a1")]
    desk.agent("a2")
    assert [g.agent_id for g in desk.run()] == ["a2"]


def test_a_refusal_outlives_at_least_one_batch_run() -> None:
    desk = Desk()
    desk.framework("f")
    desk.agent("a")
    (grant,) = desk.run()
    desk.back(grant, refuse_ms=1)
    desk.now_ns += SECOND_NS
    assert desk.run(batch=True) == []
    desk.now_ns += SECOND_NS
    assert len(desk.run(batch=True)) == 1


def test_revive_forgets_refusals_and_is_a_reason_to_run() -> None:
    desk = Desk()
    desk.framework("f", "r")
    desk.agent("a")
    (grant,) = desk.run()
    desk.back(grant, refuse_ms=10**9)
    assert desk.run(batch=True) == []
    assert desk.allocator.filter_count("r", now_ns=desk.now_ns) == 1
    desk.allocator.revive(FrameworkId("f"), ())
    assert desk.allocator.filter_count("r", now_ns=desk.now_ns) == 0
    assert len(desk.run()) == 1


def test_suppressing_leaves_the_offers_and_ends_new_ones() -> None:
    desk = Desk()
    desk.framework("f", "r")
    desk.agent("a1")
    assert len(desk.run()) == 1
    desk.allocator.suppress(FrameworkId("f"), ("r",))
    desk.agent("a2")
    assert desk.run(batch=True) == []
    assert desk.allocator.held(AgentId("a1"))


def test_activating_does_not_unsuppress() -> None:
    desk = Desk()
    desk.framework("f", "r")
    desk.allocator.suppress(FrameworkId("f"), ())
    desk.allocator.set_framework_active(FrameworkId("f"), active=False)
    desk.allocator.set_framework_active(FrameworkId("f"), active=True)
    desk.agent("a1")
    assert desk.run() == []


def test_a_changed_agent_is_worth_a_new_look() -> None:
    desk = Desk()
    desk.framework("f")
    desk.agent("a", "cpus:2;mem:1024")
    (grant,) = desk.run()
    desk.back(grant, refuse_ms=10**9)
    desk.allocator.update_agent(AgentId("a"), parse_resources("cpus:2;mem:1024"), changed=False)
    assert desk.run(batch=True) == []
    desk.allocator.update_agent(AgentId("a"), parse_resources("cpus:2;mem:1024"), changed=True)
    assert len(desk.run()) == 1


def test_a_shrunk_agent_has_nothing_free_until_enough_came_back() -> None:
    desk = Desk()
    desk.framework("f")
    desk.agent("a", "cpus:4;mem:1024")
    (grant,) = desk.run()
    desk.allocator.update_agent(AgentId("a"), parse_resources("cpus:1;mem:1024"), changed=True)
    assert format_resources(desk.allocator.shortage(AgentId("a"))) == "cpus:3"
    desk.back(grant, part="cpus:3")
    assert desk.words() == []
    desk.back(grant, part="cpus:0.5;mem:100")
    assert desk.words() == ["f/*@a cpus:0.5;mem:100"]


def test_what_is_withheld_is_not_offered_and_comes_back() -> None:
    desk = Desk()
    desk.framework("f")
    desk.agent("a", "cpus:4;mem:1024")
    desk.allocator.withhold(AgentId("a"), parse_resources("cpus:3"))
    assert desk.words() == ["f/*@a cpus:1;mem:1024"]
    desk.allocator.withhold(AgentId("a"), parse_resources(""))
    assert desk.words() == ["f/*@a cpus:3"]


def test_giving_back_twice_is_caught() -> None:
    desk = Desk()
    desk.framework("f")
    desk.agent("a")
    (grant,) = desk.run()
    desk.back(grant)
    with pytest.raises(ValueError, match="gives back"):
        desk.back(grant)


def test_a_framework_that_left_a_role_is_charged_until_it_gives_back() -> None:
    desk = Desk()
    desk.framework("f", "r")
    desk.agent("a")
    (grant,) = desk.run()
    desk.allocator.update_framework(FrameworkId("f"), FrameworkTraits(roles=frozenset({"s"})))
    assert desk.allocator.role_share("r") == 1
    desk.back(grant)
    assert desk.allocator.role_share("r") is None
    assert desk.words() == ["f/s@a cpus:2;mem:1024"]


def test_ports_alone_keep_a_framework_in_the_role_that_it_left() -> None:
    desk = Desk()
    desk.framework("f", "r")
    desk.agent("a", "cpus:2;mem:1024;ports:[1-10]")
    (grant,) = desk.run()
    desk.back(grant, part="cpus:2;mem:1024")
    desk.allocator.remove_framework(FrameworkId("f"))
    assert desk.allocator.role_share("r") == 0
    desk.back(grant, part="ports:[1-10]")
    assert desk.allocator.role_share("r") is None


def test_a_removed_agent_charges_nobody() -> None:
    desk = Desk()
    desk.framework("f", "r")
    desk.agent("a1")
    desk.agent("a2", "cpus:2;mem:1024")
    grants = desk.run()
    desk.allocator.remove_agent(AgentId("a1"))
    assert desk.allocator.role_share("r") == 1
    gone = next(grant for grant in grants if grant.agent_id == "a1")
    desk.back(gone)
    assert desk.allocator.total() == {"cpus": 2000, "mem": 1_024_000}


@pytest.mark.parametrize(
    ("refuse_ms", "life_ms"),
    [
        (0, 0),
        (-5, 0),
        (1, 1_000),
        (999, 1_000),
        (5_000, 5_000),
        (REFUSE_LIMIT_MS, REFUSE_LIMIT_MS),
        (10**15, REFUSE_LIMIT_MS),
    ],
)
def test_how_long_a_refusal_lives(refuse_ms: int, life_ms: int) -> None:
    assert life_ns(refuse_ms, SECOND_NS) == life_ms * 1_000_000


def test_two_subscriptions_of_one_framework_are_a_defect() -> None:
    desk = Desk()
    desk.framework("f")
    with pytest.raises(ValueError, match="twice"):
        desk.framework("f")
