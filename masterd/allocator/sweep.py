"""The second stage over many agents. About most of them nothing is special: whoever is first gets all of it.

What comes of it is the same as with `Run.share` for each; here it takes a few microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from masterd.allocator.accounts import Account
from masterd.allocator.agents import AllocatorAgent
from masterd.allocator.bundle import NOTHING, Bundle
from masterd.allocator.cycle import Run, open_part
from masterd.allocator.frameworks import AllocatorFramework
from masterd.allocator.quantities import minimum_met
from masterd.allocator.roles import Role
from paddock.model.resources import DEFAULT_ROLE


class Shape:
    """What agents with the same free resources have in common, and how often each role's account got all of them.

    `is_plain`: no quota has to be looked at, and every framework understands it. `suits`: an offer of what is not reserved is
    worth sending. `is_parted`: some of it is reserved.
    """

    __slots__ = ("counts", "free", "is_parted", "is_plain", "suits", "weighed")

    def __init__(self, run: Run, free: Bundle) -> None:
        self.free = free
        self.is_plain = run.is_simple and free.is_plain
        self.is_parted = not free.is_simple
        self.suits = minimum_met(open_part(free), run.settings.minimum)
        self.weighed = run.totals.weighed(free)
        self.counts: dict[Account, int] = {}


class Parted:
    """A shape with an open part, and one that is reserved for a role with nobody below it, which would take it as an offer.

    Then there are two offers on the agent, and who gets them is known beforehand. `heir` None: it is not as simple as that.
    """

    __slots__ = ("heir", "open", "rest")

    def __init__(self, run: Run, shape: Shape, shapes: dict[int, Shape]) -> None:
        self.heir: Role | None = None
        paths = [path for path in shape.free.parts if path != DEFAULT_ROLE]
        entitled = run.roles.below(paths[0]) if len(paths) == 1 else []
        if not (shape.suits and len(entitled) == 1 and entitled[0].path == paths[0]):
            return
        rest = shape.free.parts[paths[0]]
        if minimum_met(rest, run.settings.minimum):
            self.heir = entitled[0]
            self.open = shape_of(run, open_part(shape.free), shapes)
            self.rest = shape_of(run, rest, shapes)


def shape_of(run: Run, free: Bundle, shapes: dict[int, Shape]) -> Shape:
    """The one of this very bundle, which is kept with it: nothing else can have its id."""
    shape = shapes.get(id(free))
    if shape is None:
        shape = shapes[id(free)] = Shape(run, free)
    return shape


def share_all(run: Run, agents: Iterable[AllocatorAgent]) -> None:
    """Offer all that is left on each."""
    openings, now_ns, roles, frameworks, portions = run.openings, run.now_ns, run.roles, run.frameworks, run.portions
    shapes: dict[int, Shape] = {}
    parted: dict[Shape, Parted] = {}
    for agent in agents:
        if agent.barren_at == openings and now_ns < agent.wake_ns:
            continue
        free = agent.known_free
        if free is None:
            free = agent.free
        shape = shapes.get(id(free)) or shape_of(run, free, shapes)
        if agent.filters or not (shape.is_plain and agent.is_ordinary):
            run.share(agent)
            continue
        if shape.is_parted:
            if shape not in parted:
                parted[shape] = Parted(run, shape, shapes)
            _share_parted(run, agent, free, parted[shape])
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
        # As `_give`, of which the call would be a tenth of the whole.
        holder, held = framework.holders[role.path], agent.held
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


def _share_parted(run: Run, agent: AllocatorAgent, free: Bundle, parted: Parted) -> None:
    """Whoever is first gets the open part, and the heir what is reserved; the order is read before either is charged."""
    role, heir = run.roles.first(), parted.heir
    if heir is None or role is None or heir.path in role.line:
        _share_otherwise(run, agent, free)
        return
    first, second = run.frameworks[role.first()], run.frameworks[heir.first()]
    if first.is_picky or second.is_picky:
        run.share(agent)
        return
    _give(run, agent, role, first, parted.open, parted.rest.free)
    _give(run, agent, heir, second, parted.rest, NOTHING)


def _give(
    run: Run, agent: AllocatorAgent, role: Role, framework: AllocatorFramework, shape: Shape, rest: Bundle
) -> None:
    holder = framework.holders[role.path]
    agent.give_part(holder, shape.free, rest)
    run.portions.append((role, framework, agent, shape.free))
    run.roles.charge_weighed(role, holder[0], shape.weighed)
    shape.counts[role.account] = shape.counts.get(role.account, 0) + 1


def _share_otherwise(run: Run, agent: AllocatorAgent, free: Bundle) -> None:
    """The first role gets what it may have, and then those are asked for whom there is something."""
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
