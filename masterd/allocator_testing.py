"""The suite that every allocator passes, ours and third parties': subclass `AllocatorContract`, name the maker, run pytest.

    class TestMyAllocator(AllocatorContract):
        @staticmethod
        def make(settings):
            return MyAllocator(settings)

It holds what the master relies on, whoever is first: nothing is given twice and nothing is lost, nobody is offered what it did
not ask for, has refused, or may not have. pytest is needed to import this module, and by nothing else in the package.
"""

from __future__ import annotations

import random

import pytest

from masterd.allocator.interface import Allocator, AllocatorSettings, FrameworkTraits, Grant
from masterd.allocator.quota import Quota
from masterd.simulation.offer_cycle import OfferCycle
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.offer_terms import Constraint, Predicate
from paddock.model.resource_text import Attribute, parse_resources
from paddock.model.resources import Resources, Scalar

SECOND_NS = 1_000_000_000
WHOLE = "cpus:8;mem:4096;disk:1000;ports:[1000-1999];cpus(prod):2;mem(prod):512"
ROLES = ("prod", "prod/web", "dev", "ops")


class Bench(OfferCycle):
    """An allocator in virtual time, its randomness, and books of what it has granted that are kept beside its own."""

    def __init__(self, allocator: Allocator, seed: int) -> None:
        self.random = random.Random(seed)
        super().__init__(allocator, self.random, now_ns=SECOND_NS)
        self.open: list[Grant] = []
        self.free: dict[AgentId, Resources] = {}

    def new_agent(self, number: int, total: str = WHOLE) -> None:
        """Nobody has anything of it yet."""
        agent_id = AgentId(f"agent{number}")
        self.free[agent_id] = parse_resources(total)
        self.add_agent(agent_id, self.free[agent_id])

    def new_framework(self, name: str, *roles: str) -> None:
        """Active."""
        self.add_framework(FrameworkId(name), FrameworkTraits(roles=frozenset(roles)))

    def run(self) -> list[Grant]:
        """The timer's run, a second later. Each grant must be of what is free by our books."""
        self.advance(SECOND_NS)
        grants = self.take()
        for grant in grants:
            free = self.free[grant.agent_id]
            assert free.contains(grant.resources), f"{grant} is not in {free}"
            self.free[grant.agent_id] = free - grant.resources
        self.open += grants
        return grants

    def refuse(self, grant: Grant, refuse_ms: int | None) -> None:
        """All of it comes back."""
        self.open.remove(grant)
        self.free[grant.agent_id] += grant.resources
        self.decline(grant.framework_id, grant.role, grant.agent_id, grant.resources, refuse_ms)

    def amount_of(self, framework: str, name: str) -> int:
        """Thousandths that it holds of a scalar that is not reserved."""
        held = [grant.resources for grant in self.open if grant.framework_id == framework]
        return sum(
            resource.value.milli
            for resources in held
            for resource in resources
            if resource.name == name and not resource.reservations and isinstance(resource.value, Scalar)
        )


class AllocatorContract:
    """What the master relies on."""

    @staticmethod
    def make(settings: AllocatorSettings) -> Allocator:
        """The allocator that is tested."""
        raise NotImplementedError("name your allocator")

    def bench(self, seed: int = 1, settings: AllocatorSettings | None = None) -> Bench:
        """A new allocator."""
        return Bench(self.make(settings or AllocatorSettings(decline_backoff=False)), seed)

    def cluster(self, seed: int) -> Bench:
        """Some agents, and a framework in each role."""
        bench = self.bench(seed)
        for number in range(6):
            bench.new_agent(number)
        for role in ROLES:
            bench.new_framework(f"of-{role.replace('/', '-')}", role)
        return bench

    @pytest.mark.parametrize("seed", range(8))
    def test_nothing_is_given_twice_and_nothing_is_lost(self, seed: int) -> None:
        """Random grants, refusals and returns; in the end all can be had again."""
        bench = self.cluster(seed)
        for _ in range(12):
            bench.run()
            for grant in list(bench.open):
                if bench.random.random() < 0.4:
                    bench.refuse(grant, bench.random.choice([None, 0, 1_000, 5_000]))
        for grant in list(bench.open):
            bench.refuse(grant, None)
        bench.now_ns += 3_600 * SECOND_NS
        bench.run()
        bench.run()
        assert all(not free for free in bench.free.values()), "something was left that nobody was offered"
        assert all(not bench.allocator.shortage(agent_id) for agent_id in bench.free)

    def test_the_same_randomness_gives_the_same_grants(self) -> None:
        """And another one may give others."""

        def history(seed: int) -> list[tuple[Grant, ...]]:
            bench, found = self.cluster(seed), []
            for _ in range(4):
                found.append(tuple(bench.run()))
                for grant in list(bench.open)[::2]:
                    bench.refuse(grant, 0)
            return found

        assert history(3) == history(3)
        assert len({str(history(seed)) for seed in range(4)}) > 1

    def test_only_who_wants_is_offered(self) -> None:
        """Inactive, suppressed, gone: nothing. Activating again does not revive."""
        bench = self.cluster(1)
        quiet = FrameworkId("of-dev")
        bench.allocator.suppress(quiet, ())
        bench.deactivate_framework(FrameworkId("of-ops"))
        bench.allocator.remove_framework(FrameworkId("of-prod-web"))
        assert {grant.framework_id for grant in bench.run()} == {"of-prod"}
        for grant in list(bench.open):
            bench.refuse(grant, 3_600_000)
        assert not bench.run()
        bench.deactivate_framework(quiet)
        bench.activate_framework(quiet)
        assert not bench.run()
        bench.allocator.revive(quiet, ())
        assert {grant.framework_id for grant in bench.run()} == {quiet}

    @pytest.mark.parametrize("seed", range(4))
    def test_what_is_reserved_goes_to_its_role_and_below(self, seed: int) -> None:
        """Whoever is first."""
        for grant in self.cluster(seed).run():
            reserved = {resource.reserved_role for resource in grant.resources} - {"*"}
            assert not reserved or grant.role.startswith("prod")

    def test_who_refuses_is_asked_again_when_its_time_is_up(self) -> None:
        """Not before, and not for less."""
        bench = self.bench()
        bench.new_agent(1)
        bench.new_framework("f", "dev")
        (grant,) = bench.run()
        bench.refuse(grant, 3_000)
        assert [len(bench.run()) for _ in range(4)] == [0, 0, 1, 0]

    def test_agents_that_may_not_be_offered_are_not(self) -> None:
        """Deactivated, not listed, gone."""
        bench = self.bench()
        for number in range(3):
            bench.new_agent(number)
        bench.new_framework("f", "dev")
        bench.deactivate_agent(AgentId("agent0"))
        bench.allocator.remove_agent(AgentId("agent1"))
        assert [grant.agent_id for grant in bench.run()] == ["agent2"]
        bench.activate_agent(AgentId("agent0"))
        bench.allocator.set_whitelist(())
        assert not bench.run()
        bench.allocator.set_whitelist(None)
        assert [grant.agent_id for grant in bench.run()] == ["agent0"]

    def test_who_or_what_changes_is_looked_at_anew(self) -> None:
        """New attributes end refusals and decide about constraints; of new roles there are offers, of those left none."""
        bench, agent_id, framework_id = self.bench(), AgentId("agent1"), FrameworkId("f")
        bench.new_agent(1, "cpus:4;mem:1024")
        bench.new_framework("f", "dev")
        bench.refuse(bench.run()[0], 3_600_000)
        bench.update_agent(agent_id, attributes=(Attribute(name="rack", value="r1"),))
        bench.refuse(bench.run()[0], None)
        elsewhere = Constraint(select="rack", predicate=Predicate.TEXT_NOT_EQUALS, value="r1")
        bench.update_framework(framework_id, frozenset({"dev", "ops"}), constraints={"dev": ((elsewhere,),)})
        assert [grant.role for grant in bench.run()] == ["ops"]
        bench.refuse(bench.open[0], None)
        bench.update_framework(framework_id, suppressed_roles={"ops"})
        assert [grant.role for grant in bench.run()] == ["dev"]
        bench.free[agent_id] += parse_resources("cpus:1")
        bench.update_agent(agent_id, parse_resources("cpus:5;mem:1024"))
        assert [grant.resources for grant in bench.run()] == [parse_resources("cpus:1")]

    @pytest.mark.parametrize("seed", range(6))
    def test_limits_stop_and_guarantees_are_kept_free(self, seed: int) -> None:
        """Of six agents with 8 CPUs, dev may have 5 and ops is owed 20, even when it comes last."""
        bench = self.bench(seed)
        for number in range(6):
            bench.new_agent(number)
        bench.allocator.set_quota("dev", Quota(limits_milli={"cpus": 5_000}))
        bench.allocator.set_quota("ops", Quota(guarantees_milli={"cpus": 20_000}))
        bench.new_framework("d", "dev")
        bench.new_framework("p", "prod")
        for _ in range(3):
            bench.run()
        assert bench.amount_of("d", "cpus") <= 5_000
        assert bench.amount_of("p", "cpus") + bench.amount_of("d", "cpus") == 28_000
        bench.new_framework("o", "ops")
        bench.run()
        assert bench.amount_of("o", "cpus") == 20_000
        assert not bench.allocator.guarantee_shortfall()

    def test_nobody_starves(self) -> None:
        """Of forty agents each of four frameworks gets some, a heavy role more than a light one, over many runs."""
        bench = self.bench()
        for number in range(40):
            bench.new_agent(number, "cpus:8;mem:4096")
        bench.allocator.update_weights({"heavy": 4_000})
        for name, role in (("a", "dev"), ("b", "ops"), ("c", "dev"), ("d", "heavy")):
            bench.new_framework(name, role)
        counts = dict.fromkeys("abcd", 0)
        for _ in range(20):
            for grant in bench.run():
                counts[grant.framework_id] += 1
            for grant in list(bench.open):
                bench.refuse(grant, 0)
        assert sum(counts.values()) == 800
        assert min(counts.values()) > 0
        assert counts["d"] > 2 * counts["b"]

    def test_what_is_not_held_cannot_come_back(self) -> None:
        """ValueError, and the books stay as they are; of an agent that is gone: no effect."""
        bench = self.bench()
        bench.new_agent(1)
        bench.new_framework("f", "dev")
        (grant,) = bench.run()
        bench.refuse(grant, None)
        with pytest.raises(ValueError, match="agent1"):
            bench.decline(grant.framework_id, grant.role, grant.agent_id, grant.resources)
        assert len(bench.run()) == 1
        bench.allocator.remove_agent(grant.agent_id)
        bench.decline(grant.framework_id, grant.role, grant.agent_id, grant.resources)
        assert not bench.run()

    def test_what_happens_asks_for_a_run(self) -> None:
        """And a run answers it: what is the timer's alone does not."""
        bench = self.bench()
        bench.new_framework("f", "dev")
        bench.run()
        assert not _wants_run(bench.allocator)
        bench.new_agent(1)
        assert _wants_run(bench.allocator)
        bench.settle()
        assert len(bench.take()) == 1
        assert not _wants_run(bench.allocator)

    def test_the_rest_of_an_accepted_offer_comes_back(self) -> None:
        """Refused, as the framework says; what is used does not come before it has ended."""
        bench = self.bench()
        bench.new_agent(1, "cpus:4;mem:1024")
        bench.new_framework("f", "dev")
        bench.new_framework("g", "dev")
        ((framework_id, role, agent_id, offered, _),) = bench.run()
        used = parse_resources("cpus:1;mem:256")
        bench.accept(framework_id, role, agent_id, offered, (), used, 3_600_000)
        bench.free[agent_id] += offered - used
        (grant,) = bench.run()
        assert grant.framework_id != framework_id
        assert grant.resources == parse_resources("cpus:3;mem:768")
        bench.refuse(grant, 3_600_000)
        bench.finish(framework_id, role, agent_id, used, 0)
        bench.free[agent_id] += used
        assert [each.resources for each in bench.run()] == [offered]

    def test_a_master_with_quotas_waits_for_its_agents(self) -> None:
        """Four fifths of them, or ten minutes."""
        bench = self.bench()
        quotas = {"ops": Quota(guarantees_milli={"cpus": 1_000})}
        bench.allocator.recover_quotas(quotas, expected_agent_count=5, now_ns=bench.now_ns)
        bench.new_framework("f", "dev")
        for number in range(3):
            bench.new_agent(number)
        assert not bench.run()
        bench.new_agent(3)
        assert bench.run()


def _wants_run(allocator: Allocator) -> bool:
    """Asked anew."""
    return allocator.wants_run
