"""Why there is no offer: each reason where it holds, and the answers lead to an offer when one follows them."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from masterd.allocator.constraints import Place
from masterd.allocator.explain import Finding, Reason, explain
from masterd.allocator.interface import AgentTraits, FrameworkTraits, Grant, Inactivity
from masterd.allocator.quota import NO_QUOTA, Quota
from paddock.model.framework import FrameworkCapability as Capability
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resource_text import parse_resources
from paddock.model.resources import Resources
from tests.unit.masterd.allocator.test_against_naive import ROLES, STEPS, Pair
from tests.unit.masterd.allocator.test_allocator import Desk

INACTIVITY = {
    Reason.AGENT_INACTIVE: Inactivity.DISCONNECTED,
    Reason.AGENT_DEACTIVATED: Inactivity.DEACTIVATED,
    Reason.DRAINING: Inactivity.DRAINING,
    Reason.MAINTENANCE: Inactivity.MAINTENANCE,
    Reason.AGENT_PROBLEM: Inactivity.PROBLEM,
}
FRAMEWORK, AGENT = FrameworkId("f"), AgentId("a")


def reasons(desk: Desk, role: str = "r") -> list[Reason]:
    found = explain(desk.allocator, framework_id=FRAMEWORK, role=role, agent_id=AGENT, now_ns=desk.now_ns)
    return [finding.reason for finding in found]


def desk_with(whole: str = "cpus:2;mem:1024", role: str = "r") -> Desk:
    desk = Desk()
    desk.framework("f", role)
    desk.agent("a", whole)
    return desk


def test_where_a_run_would_offer_and_where_an_offer_is_there_is_no_reason() -> None:
    desk = desk_with()
    assert reasons(desk) == []
    assert len(desk.run()) == 1
    assert reasons(desk) == []


def test_asking_changes_nothing() -> None:
    desk = desk_with()
    desk.framework("g", "s")
    desk.allocator.set_quota("r", Quota(guarantees_milli={"cpus": 1000}, limits_milli={"cpus": 1500}))
    before = desk.allocator.held(AGENT), desk.allocator.role_share("r"), desk.allocator.quota_excess("r")
    for _ in range(3):
        assert reasons(desk) == []
    assert (desk.allocator.held(AGENT), desk.allocator.role_share("r"), desk.allocator.quota_excess("r")) == before
    assert desk.words() == ["f/r@a cpus:1.5;mem:1024", "g/s@a cpus:0.5"]


def test_who_asks() -> None:
    desk = desk_with()
    assert reasons(desk, "s") == [Reason.NOT_SUBSCRIBED]
    desk.allocator.suppress(FRAMEWORK, ())
    assert reasons(desk) == [Reason.SUPPRESSED]
    desk.allocator.set_framework_active(FRAMEWORK, active=False)
    assert reasons(desk) == [Reason.DISCONNECTED, Reason.SUPPRESSED]
    desk.allocator.pause()
    assert reasons(desk) == [Reason.DISCONNECTED, Reason.SUPPRESSED, Reason.RECOVERING]


def test_the_agent() -> None:
    desk = desk_with("cpus:2;mem:1024;gpus:1")
    desk.allocator.set_agent_active(AGENT, active=False)
    desk.allocator.set_whitelist(["elsewhere"])
    assert reasons(desk) == [Reason.AGENT_INACTIVE, Reason.WHITELIST, Reason.GPU]
    desk.allocator.set_agent_active(AGENT, active=False, why=(Inactivity.MAINTENANCE, Inactivity.DRAINING))
    assert reasons(desk) == [Reason.DRAINING, Reason.MAINTENANCE, Reason.WHITELIST, Reason.GPU]
    desk.allocator.set_agent_active(AGENT, active=False, why=tuple(Inactivity))
    assert reasons(desk)[: len(INACTIVITY)] == list(INACTIVITY)
    traits = AgentTraits(capabilities=frozenset())
    desk.allocator.update_agent(AGENT, None, changed=False, traits=traits)
    assert reasons(desk)[-1] == Reason.MULTI_ROLE


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        ("", Reason.NOTHING_FREE),
        ("cpus:0.001;ports:[1-9]", Reason.TOO_SMALL),
        ("cpus(s):1", Reason.RESERVED),
    ],
)
def test_what_is_there(whole: str, reason: Reason) -> None:
    assert reasons(desk_with(whole)) == [reason]


def test_limits_headroom_and_refusals_can_hold_together() -> None:
    desk = desk_with("cpus:2;mem:1024")
    (grant,) = desk.run()
    desk.back(grant, refuse_ms=9_000)
    desk.allocator.set_quota("r", Quota(limits_milli={"cpus": 0, "mem": 0}))
    desk.allocator.set_quota("s", Quota(guarantees_milli={"cpus": 2000, "mem": 1_024_000}))
    found = explain(desk.allocator, framework_id=FRAMEWORK, role="r", agent_id=AGENT, now_ns=desk.now_ns)
    assert [each.reason for each in found] == [Reason.QUOTA_LIMIT, Reason.HEADROOM, Reason.FILTERED]
    assert found[1].roles == ("s",)
    assert found[2].until_ns == 9_000_000_000


def test_others_are_first_with_both_shares() -> None:
    desk = desk_with()
    desk.agent("b", "cpus:6;mem:1024")
    desk.run()
    desk.allocator.remove_agent(AGENT)
    desk.framework("g", "s")
    desk.agent("a", "cpus:2;mem:1024")
    (found,) = explain(desk.allocator, framework_id=FRAMEWORK, role="r", agent_id=AGENT, now_ns=0)
    assert (found.reason, found.first) == (Reason.BEHIND, (FrameworkId("g"), "s"))
    assert found.first_share == 0
    assert found.own_share is not None
    assert found.own_share > 0


def test_what_guarantees_give_first_counts_in_whose_turn_it_is_then() -> None:
    def begun() -> Desk:
        desk = Desk()
        for name, role in (("below", "a/b"), ("f", "a"), ("other", "b")):
            desk.framework(name, role)
        desk.agent("a", "cpus:1;mem:1024")
        bound = {"cpus": 1000, "mem": 100_000}
        desk.allocator.set_quota("a/b", Quota(guarantees_milli=bound, limits_milli=bound))
        return desk

    desk = begun()
    for _ in range(2):
        found = explain(desk.allocator, framework_id=FRAMEWORK, role="a", agent_id=AGENT, now_ns=0)
        assert [each.first for each in found] == [(FrameworkId("below"), "a/b"), (FrameworkId("other"), "b")]
    assert desk.words() == begun().words() == ["below/a/b@a cpus:1;mem:100", "other/b@a mem:924"]


class Follower:
    """Does what each answer asks for, and nothing else."""

    def __init__(self, pair: Pair, framework_id: FrameworkId, role: str, agent_id: AgentId) -> None:
        self.pair, self.allocator = pair, pair.fast
        self.framework_id, self.role, self.agent_id = framework_id, role, agent_id

    def ask(self) -> tuple[Finding, ...]:
        return explain(
            self.allocator,
            framework_id=self.framework_id,
            role=self.role,
            agent_id=self.agent_id,
            now_ns=self.pair.now_ns,
        )

    def _retrait(self, traits: FrameworkTraits) -> None:
        self.allocator.update_framework(self.framework_id, traits)

    def remove(self, finding: Finding) -> None:  # noqa: C901, PLR0912 - one branch for each reason
        allocator, traits = self.allocator, self.allocator.ledger.frameworks[self.framework_id].traits
        suppressed = frozenset(self.allocator.ledger.frameworks[self.framework_id].suppressed_roles)
        traits = replace(traits, suppressed_roles=suppressed)
        match finding.reason:
            case Reason.NOT_SUBSCRIBED:
                self._retrait(replace(traits, roles=traits.roles | {self.role}))
            case Reason.DISCONNECTED:
                allocator.set_framework_active(self.framework_id, active=True)
            case Reason.SUPPRESSED | Reason.FILTERED:
                allocator.revive(self.framework_id, (self.role,))
            case Reason.RECOVERING:
                allocator.resume()
            case (
                Reason.AGENT_INACTIVE
                | Reason.AGENT_DEACTIVATED
                | Reason.DRAINING
                | Reason.MAINTENANCE
                | Reason.AGENT_PROBLEM
            ):
                why = allocator.ledger.agents[self.agent_id].inactivity - {INACTIVITY[finding.reason]}
                allocator.set_agent_active(self.agent_id, active=not why, why=why)
            case Reason.WHITELIST:
                allocator.set_whitelist(None)
            case Reason.MULTI_ROLE | Reason.HIERARCHICAL_ROLE:
                place = Place(hostname=self.agent_id)
                allocator.update_agent(self.agent_id, None, changed=False, traits=AgentTraits(place=place))
            case Reason.GPU | Reason.REGION | Reason.NOT_UNDERSTOOD:
                self._retrait(replace(traits, capabilities=frozenset(Capability)))
            case Reason.CONSTRAINT:
                self._retrait(replace(traits, constraints={}))
            case Reason.NOTHING_FREE | Reason.TOO_SMALL | Reason.RESERVED:
                allocator.grow_agent(self.agent_id, parse_resources("cpus:9;mem:900;ports:[1-9]"), {})
            case Reason.QUOTA_LIMIT:
                for role in ROLES:
                    quota = self._quota(role)
                    allocator.set_quota(role, Quota(guarantees_milli=quota.guarantees_milli))
            case Reason.HEADROOM:
                for role in finding.roles:
                    allocator.set_quota(role, Quota(limits_milli=self._quota(role).limits_milli))
            case Reason.BEHIND:
                assert finding.first is not None
                allocator.suppress(finding.first[0], (finding.first[1],))

    def _quota(self, role: str) -> Quota:
        account = self.allocator.ledger.accounts.get(role)
        return account.quota if account is not None else NO_QUOTA

    def offers(self) -> list[Grant]:
        """Of a run over this agent alone. Others are waiting for one too, and what a run gives of them before may be what
        puts others first here, or a limit's last room: of that no answer speaks.
        """
        self.allocator.resume()
        self.allocator.request_run([self.agent_id])
        grants = self.allocator.run(now_ns=self.pair.now_ns, shuffler=random.Random(0), batch=False)
        return [each for each in grants if (each.framework_id, each.role) == (self.framework_id, self.role)]


def has_offer(pair: Pair, framework_id: str, role: str, agent_id: str) -> bool:
    return bool(pair.naive.agents[agent_id].held.get((framework_id, role), Resources()))


@pytest.mark.parametrize("seed", range(40))
def test_following_the_answers_ends_in_an_offer(seed: int) -> None:
    pair = Pair(seed, rich=True, nested=seed % 2 == 0)
    for _ in range(STEPS):
        pair.step()
    chance = random.Random(seed)
    if not (pair.naive.frameworks and pair.naive.agents):
        return
    framework_id = FrameworkId(chance.choice(sorted(pair.naive.frameworks)))
    agent_id = AgentId(chance.choice(sorted(pair.naive.agents)))
    follower = Follower(pair, framework_id, chance.choice(ROLES), agent_id)
    had_offer = has_offer(pair, framework_id, follower.role, agent_id)
    found = follower.ask()
    assert not (had_offer and found), "a reason where an offer is"
    for _ in range(60):
        if not found:
            break
        assert [each.reason.name for each in found] == sorted(
            [each.reason.name for each in found], key=list(Reason.__members__).index
        )
        follower.remove(found[0])
        after = follower.ask()
        assert after != found, found[0]
        found = after
    assert not found
    assert had_offer or follower.offers(), "no reason, and no offer"


@pytest.mark.parametrize("seed", range(20))
def test_every_answer_is_true_of_the_next_run(seed: int) -> None:
    """No reason: the next run over that agent offers it. A reason: it does not."""
    pair = Pair(100 + seed, rich=True, nested=seed % 2 == 0)
    for _ in range(STEPS):
        pair.step()
    pair.fast.run(now_ns=pair.now_ns, shuffler=random.Random(0), batch=False)
    for agent_id in sorted(pair.naive.agents):
        asked = {
            (framework_id, role): explain(
                pair.fast,
                framework_id=FrameworkId(framework_id),
                role=role,
                agent_id=AgentId(agent_id),
                now_ns=pair.now_ns,
            )
            for framework_id, framework in pair.naive.frameworks.items()
            for role in framework.roles
        }
        before = set(pair.fast.held(AgentId(agent_id)))
        pair.fast.request_run([AgentId(agent_id)])
        granted = {
            (grant.framework_id, grant.role)
            for grant in pair.fast.run(now_ns=pair.now_ns, shuffler=random.Random(0), batch=False)
        }
        for holder, found in asked.items():
            if holder not in before:
                assert (not found) == (holder in granted), (agent_id, holder, found)
