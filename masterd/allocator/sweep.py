"""The second stage over many agents. About most of them nothing is special: whoever is first gets all of it.

What comes of it is the same as with `Run.share` for each; here it takes a few microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from masterd.allocator.accounts import Account
from masterd.allocator.agents import AllocatorAgent
from masterd.allocator.bundle import NOTHING, Bundle
from masterd.allocator.cycle import Run, open_part
from masterd.allocator.quantities import minimum_met


class Shape:
    """What agents with the same free resources have in common, and how often each role's account got all of them.

    `is_plain`: no quota has to be looked at, and every framework understands it. `suits`: who has no reservation there can
    have an offer of it.
    """

    __slots__ = ("counts", "free", "is_parted", "is_plain", "suits", "weighed")

    def __init__(self, run: Run, free: Bundle) -> None:
        self.free = free
        self.is_plain = run.is_simple and free.is_plain
        self.is_parted = not free.is_simple
        self.suits = minimum_met(open_part(free), run.settings.minimum)
        self.weighed = run.totals.weighed(free)
        self.counts: dict[Account, int] = {}


def share_all(run: Run, agents: Iterable[AllocatorAgent]) -> None:
    """Offer all that is left on each."""
    openings, now_ns, roles, frameworks, portions = run.openings, run.now_ns, run.roles, run.frameworks, run.portions
    shapes: dict[int, Shape] = {}
    for agent in agents:
        if agent.barren_at == openings and now_ns < agent.wake_ns:
            continue
        free = agent.known_free
        if free is None:
            free = agent.free
        shape = shapes.get(id(free))
        if shape is None:
            shape = shapes[id(free)] = Shape(run, free)
        if agent.filters or not (shape.is_plain and agent.is_ordinary):
            run.share(agent)
            continue
        if shape.is_parted:
            _share_parted(run, agent, free)
            continue
        role = roles.first() if shape.suits else None
        if role is None:
            if free.amounts:
                agent.mark_barren(openings)
            continue
        framework = frameworks[role.first()]
        if framework.is_picky:
            run.share(agent)
            continue
        holder, held = framework.holders[role.path], agent.held
        # As `give_part`: a call here would be a tenth of the whole.
        held[holder] = held[holder].plus(free) if holder in held else free
        agent.known_free = NOTHING
        agent.barren_at = -1
        portions.append((role, framework, agent, free))
        roles.charge_weighed(role, holder[0], shape.weighed)
        counts, account = shape.counts, role.account
        counts[account] = counts[account] + 1 if account in counts else 1
    for shape in shapes.values():
        for account, count in shape.counts.items():
            run.accounts.charge(account, {name: milli * count for name, milli in shape.free.charged.items()})


def _share_parted(run: Run, agent: AllocatorAgent, free: Bundle) -> None:
    """Some of it is reserved: the first role gets what it may have, and then those are asked for whom there is something."""
    begin = len(run.portions)
    role = run.roles.first() if minimum_met(open_part(free), run.settings.minimum) else None
    asked: tuple[str, ...] = ()
    if role is not None:
        framework = run.frameworks[role.first()]
        if framework.is_picky:
            run.share(agent)
            return
        mine, free = free.split(role.line)
        agent.give_part(framework.holders[role.path], mine, free)
        run.accounts.charge(role.account, mine.charged)
        run.portions.append((role, framework, agent, mine))
        asked = (role.path,)
    if free.amounts:
        run.share_reserved(agent, asked)
    run.end_visit(agent, begin)
