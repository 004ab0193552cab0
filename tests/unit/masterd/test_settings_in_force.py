"""Each setting of who is offered what, from masterd's flag to what frameworks see of a real core, and what is so without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from masterd import allocators
from masterd.allocator.drf_allocator import DrfAllocator
from masterd.allocator.interface import AllocatorSettings
from masterd.allocator.quota import Quota
from masterd.core.effects import SaveAgent
from masterd.core.events import Decline, QuotasChanged, WeightsChanged
from masterd.core.recovery import Remembered
from masterd.core.state import Settings
from paddock.model.errors import InvalidRequest
from paddock.model.ids import AgentId
from paddock.model.offer import Filters
from paddock.model.resource_text import format_resources
from tests.unit.masterd.core.world import ROOT, Subscription, World, call, task_info
from tests.unit.masterd.test_config import load

Seen = object
Story = Callable[[World], Seen]
QUOTAS = (("q", Quota(guarantees_milli={"cpus": 1_000})),)


def world_of(tmp_path: Path, *flags: str, remembered: Remembered | None = None) -> World:
    settings = load(tmp_path, *flags)
    allocator = allocators.create(settings.allocator, settings.allocator_settings)
    assert isinstance(allocator, DrfAllocator)
    return World(settings=settings.core, allocator=allocator, remembered=remembered)


def offered(world: World, framework: Subscription) -> dict[str, str]:
    return {offer.agent_id: format_resources(offer.resources.unallocated()) for offer in world.offers(framework[2])}


def decline(world: World, framework: Subscription) -> None:
    offers = tuple(offer.offer_id for offer in world.offers(framework[2]))
    world.do(Decline(**call(framework), offer_ids=offers, filters=Filters(refuse_ms=0)))
    world.cycle()


def small_agents(world: World) -> Seen:
    framework = world.framework("r")
    world.agent("less", "cpus:0.005;mem:16")
    world.agent("ports", "mem:16;ports:[1-9]")
    world.agent("mem", "mem:32")
    return sorted(offered(world, framework))


def gpus(world: World) -> Seen:
    world.agent("a1", "cpus:1;mem:64;gpus:1")
    return sorted(offered(world, world.framework("r")))


def regions(world: World) -> Seen:
    for name, region in (("east", "east"), ("west", "west"), ("nowhere", "")):
        world.agent(name, region=region)
    return sorted(offered(world, world.framework("r")))


def roles(world: World) -> Seen:
    taken = []
    for role in ("*", "r", "r/x", "s"):
        try:
            world.framework(role)
            world.do(WeightsChanged(caller=ROOT, weights_milli=((role, 2_000),)))
        except InvalidRequest as error:
            taken.append(error.remedy)
        else:
            taken.append(role)
    return taken


def limit_above(world: World) -> Seen:
    quota = Quota(limits_milli={"cpus": 1_000})
    world.do(QuotasChanged(caller=ROOT, quotas=(("eng", quota),)))
    world.agent("a1", "cpus:4;mem:64")
    return offered(world, world.framework("eng/web"))


def comes_back(world: World) -> Seen:
    """Whether another is offered what one declines before any timer."""
    first = world.framework("r")
    world.agent("a1")
    other = world.framework("s")
    decline(world, first)
    return sorted(offered(world, other))


def always_declines(world: World) -> Seen:
    """In how many of twenty rounds it is asked."""
    world.agent("a1")
    framework, asked_count = world.framework("r"), 0
    for _ in range(20):
        asked_count += bool(offered(world, framework))
        decline(world, framework)
        world.advance(1)
    return asked_count < 15


def owner_of_licences(world: World) -> Seen:
    """Who is offered the third agent: the owner of all licences, or of most cpus."""
    licensed = world.framework("licensed")
    world.agent("a1", "cpus:1;mem:64;licences:9")
    world.accept(licensed, world.offers(licensed[2]), task_info("t", "a1", "cpus:1;mem:64;licences:9"))
    other = world.framework("other")
    world.agent("a2", "cpus:4;mem:64")
    world.accept(other, world.offers(other[2]), task_info("t", "a2", "cpus:4;mem:64"))
    world.agent("a3", "cpus:1;mem:64")
    return "other" if offered(world, other) else "licensed" if offered(world, licensed) else "nobody"


@pytest.mark.parametrize(
    ("story", "flags", "without", "with_it"),
    [
        (small_agents, "--min-allocatable-resources=cpus:0.005|ports:9", ["mem"], ["less", "ports"]),
        (small_agents, "--min-allocatable-resources=", ["mem"], ["less", "mem", "ports"]),
        (gpus, "--filter-gpu-resources=false", [], ["a1"]),
        (regions, "--region=east", ["east", "nowhere", "west"], ["east", "nowhere"]),
        (roles, "--roles=r", ["*", "r", "r/x", "s"], ["*", "r", *["this master takes the roles *, r"] * 2]),
        (limit_above, "--nested-quota=false", {"a1": "cpus:1;mem:64"}, {"a1": "cpus:4;mem:64"}),
        (comes_back, "--run-on-recovery=false", ["a1"], []),
        (always_declines, "--decline-backoff=false", True, False),
        (owner_of_licences, "--fair-sharing-excluded-resource-names=licences", "other", "licensed"),
    ],
)
def test_a_setting_has_its_effect(tmp_path: Path, story: Story, flags: str, without: Seen, with_it: Seen) -> None:
    assert story(world_of(tmp_path)) == without
    assert story(world_of(tmp_path, flags)) == with_it


@pytest.mark.parametrize("flag", ["--filter-gpu-resources=false", "--nested-quota=false"])
def test_they_are_those_of_the_allocator_that_is_chosen(tmp_path: Path, flag: str) -> None:
    story, seen = {"--filter": (gpus, ["a1"]), "--nested": (limit_above, {"a1": "cpus:4;mem:64"})}[flag[:8]]
    assert story(world_of(tmp_path, "--allocator=random", flag)) == seen


@pytest.mark.parametrize(
    ("flags", "after_s", "begun"),
    [
        ((), 0, False),
        (("--allocator-agent-recovery-factor=0.5",), 0, True),
        ((), 31, False),
        (("--allocator-recovery-timeout=30s",), 31, True),
    ],
)
def test_how_long_a_master_with_quotas_waits_for_its_agents(
    tmp_path: Path, flags: tuple[str, ...], after_s: float, begun: bool
) -> None:
    """Two of four are back."""
    known = tuple(
        SaveAgent(agent_id=AgentId(name), hostname=name, unix_address="", tcp_address="", unreachable_ns=None)
        for name in ("a1", "a2", "a3", "a4")
    )
    world = world_of(tmp_path, *flags, remembered=Remembered(agents=known, quotas=QUOTAS))
    framework = world.framework("q")
    world.agent("a1")
    world.agent("a2")
    world.advance(after_s)
    assert bool(offered(world, framework)) is begun


CHANGED = (
    "--allocation-interval=2s",
    "--min-allocatable-resources=cpus:1",
    "--fair-sharing-excluded-resource-names=gpus",
    "--filter-gpu-resources=false",
    "--region=east",
    "--allocator-agent-recovery-factor=0.25",
    "--allocator-recovery-timeout=1m",
    "--run-on-recovery=false",
    "--nested-quota=false",
    "--decline-backoff=false",
    "--agent-ping-timeout=2s",
    "--max-agent-ping-timeouts=2",
    "--agent-reregister-timeout=11m",
    "--framework-resubscribe-timeout=11m",
    "--max-frameworks=2",
    "--heartbeat-interval=2s",
    "--offer-timeout=2s",
    "--registry-max-agent-age=2m",
    "--registry-max-agent-count=2",
    "--roles=r",
)


def test_nothing_that_allocator_or_core_can_be_told_is_without_a_flag(tmp_path: Path) -> None:
    settings = load(tmp_path, *CHANGED)
    for told, default in ((settings.allocator_settings, AllocatorSettings()), (settings.core, Settings())):
        same = [each.name for each in fields(default) if getattr(told, each.name) == getattr(default, each.name)]
        assert same == []
