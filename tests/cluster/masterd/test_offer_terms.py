"""A framework that says which offers it wants, and a real master."""

from __future__ import annotations

import asyncio

import pytest

from paddock.model.errors import InvalidRequest
from paddock.model.framework import FrameworkInfo
from paddock.model.offer_terms import Constraint, OfferTerms, Predicate, parse_minimum
from paddock.scheduler import Offered, Scheduler
from tests.cluster.masterd.stage import stage
from tests.cluster.masterd.test_policy_command import lines, paddock
from tests.masterd_process import MasterdProcess

TIMEOUT_S = 60


def wanting(pattern: str) -> FrameworkInfo:
    same = Constraint(select="rack", predicate=Predicate.TEXT_MATCHES, value=pattern)
    terms = OfferTerms(role="r", constraints=((same,),), minimum=parse_minimum("cpus:2"))
    return FrameworkInfo(name="choosy", roles=("r",), offer_terms=(terms,))


async def test_only_what_is_wanted_is_offered(masterd: MasterdProcess) -> None:
    async with asyncio.timeout(TIMEOUT_S), stage(masterd) as on:
        for name, resources, rack in (("a1", "cpus:4", "r2"), ("a2", "cpus:1", "r1"), ("a3", "cpus:4", "r1")):
            await (await on.agent(name, resources=resources, attributes=f"rack:{rack}")).register()
        async with Scheduler(masterd.address, wanting("r1|r[3-9]+")) as scheduler:
            async for event in scheduler:
                if isinstance(event, Offered):
                    assert [offer.agent_id for offer in event.offers] == ["a3"]
                    break
            words = ("explain", "framework", scheduler.framework_id, "--no-headers")
            found = lines(await asyncio.to_thread(paddock, masterd, *words))
        assert {line[2]: line[3] for line in found} == {"a1": "constraint", "a2": "too_small", "a3": "offered"}
        async with Scheduler(masterd.address, wanting("r(1")) as scheduler:
            with pytest.raises(InvalidRequest, match=r"constraint_groups\[0\].constraints\[0\].value.*r\(1"):
                await anext(scheduler)
