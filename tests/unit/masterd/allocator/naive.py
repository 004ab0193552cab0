"""The same rules written down a second time, as plainly as possible: fractions, full sorts, no caches, no tricks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from masterd.allocator.interface import AllocatorSettings, Grant, Shuffler
from paddock.model.framework import FrameworkCapability as Capability
from paddock.model.ids import AgentId, FrameworkId
from paddock.model.resources import Resource, Resources, Scalar

INTERVAL_NS = 1_000_000_000


def dominant(allocated: dict[str, int], totals: dict[str, int], weight_milli: int) -> Fraction:
    shares = [
        Fraction(milli * 1000, totals[name] * weight_milli) for name, milli in allocated.items() if totals.get(name)
    ]
    return max(shares, default=Fraction(0))


def plus(one: dict[str, int], two: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + two.get(name, 0) for name in {*one, *two}}


@dataclass
class Client:
    active: bool = False
    allocated: dict[str, int] = field(default_factory=dict)
    count: int = 0
    volumes: frozenset[tuple[str, Resource]] = frozenset()


class Counts:
    """How often each path was charged: a branch keeps its number for as long as anybody is below it (as in Mesos)."""

    def __init__(self) -> None:
        self.of_path: dict[str, int] = {}
        self._own: dict[str, int] = {}
        self._clients: set[str] = set()

    def _below(self, path: str) -> bool:
        return any(client.startswith(f"{path}/") for client in self._clients)

    def know(self, clients: set[str]) -> None:
        """These and no others."""
        for gone in self._clients - clients:
            self._clients.discard(gone)
            self._own.pop(gone, None)
        for new in sorted(clients - self._clients):
            for path in prefixes(new):
                if path in self._clients and path not in self._own:
                    self._own[path] = self.of_path[path]
                self.of_path.setdefault(path, 0)
            if self._below(new):
                self._own[new] = 0
            self._clients.add(new)
        self._own = {client: count for client, count in self._own.items() if self._below(client)}
        self.of_path = {
            path: count for path, count in self.of_path.items() if path in self._clients or self._below(path)
        }

    def charge(self, client: str) -> None:
        for path in prefixes(client):
            self.of_path[path] += 1
        if client in self._own:
            self._own[client] += 1

    def all(self) -> dict[str, int]:
        return {**self.of_path, **{f"{client}/.": count for client, count in self._own.items()}}


def prefixes(path: str) -> list[str]:
    components = path.split("/")
    return ["/".join(components[:depth]) for depth in range(1, len(components) + 1)]


def order(
    clients: dict[str, Client],
    totals: dict[str, int],
    weights: dict[str, int],
    counts: dict[str, int] | None = None,
    prefix: str = "",
) -> list[str]:
    """The active clients below `prefix`, recomputed from nothing. No counts: those of the clients, added up."""
    groups: dict[str, list[str]] = {}
    for path in clients:
        if path == prefix.removesuffix("/"):
            groups[f"{prefix}."] = [path]
        elif path.startswith(prefix):
            groups.setdefault(prefix + path[len(prefix) :].split("/")[0], []).append(path)
    keyed = []
    for path, members in groups.items():
        allocated: dict[str, int] = {}
        for member in members:
            allocated = plus(allocated, clients[member].allocated)
        # A shared volume once, however many of those below the branch have it.
        for _, volume in {each for member in members for each in clients[member].volumes}:
            allocated = plus(allocated, scalars(Resources((volume,))))
        share = dominant(allocated, totals, weights.get(path, 1000))
        count = sum(clients[member].count for member in members) if counts is None else counts.get(path, 0)
        keyed.append((share, count, path, members))
    found: list[str] = []
    for _, _, path, members in sorted(keyed):
        if path.endswith("/.") or members == [path]:
            found += [member for member in members if clients[member].active]
        else:
            found += order({member: clients[member] for member in members}, totals, weights, counts, f"{path}/")
    return found


@dataclass
class Refusal:
    holder: tuple[str, str]
    agent_id: str
    refused: Resources
    expires_ns: int
    born_batch: int


@dataclass
class Framework:
    roles: set[str]
    suppressed: set[str]
    active: bool
    capabilities: frozenset[Capability] = frozenset()
    minimums: dict[str, tuple[dict[str, int], ...]] = field(default_factory=dict)
    only_hosts: dict[str, set[str]] = field(default_factory=dict)


@dataclass
class Agent:
    total: Resources
    active: bool = True
    held: dict[tuple[str, str], Resources] = field(default_factory=dict)

    def free(self) -> Resources:
        """Shared ones are always there, once."""
        rest = unshared(self.total)
        for resources in self.held.values():
            rest -= unshared(resources)
        return Resources((*rest, *(resource for resource in self.total if resource.shared)))


Quota = tuple[dict[str, int], dict[str, int]]
"""Guarantees and limits."""


class NaiveAllocator:
    """Every run looks at every agent, role and framework, and adds everything up from the beginning each time."""

    def __init__(self, settings: AllocatorSettings) -> None:
        self.settings = settings
        self.agents: dict[str, Agent] = {}
        self.frameworks: dict[str, Framework] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self.role_counts = Counts()
        self.refusals: list[Refusal] = []
        self.weights: dict[str, int] = {}
        self.quotas: dict[str, Quota] = {}
        self.whitelist: set[str] | None = None
        self.batch_count = 0

    # --- sums ---

    def totals(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for agent in self.agents.values():
            found = plus(found, scalars(agent.total))
        return found

    def _client(self, framework_id: str | None, role: str, *, active: bool, count: int = 0) -> Client:
        allocated: dict[str, int] = {}
        volumes = set()
        for name, agent in self.agents.items():
            for (holder, holder_role), resources in agent.held.items():
                if holder_role == role and framework_id in {None, holder}:
                    allocated = plus(allocated, scalars(unshared(resources)))
                    volumes |= {(name, each) for each in resources if each.shared}
        return Client(active=active, allocated=allocated, count=count, volumes=frozenset(volumes))

    def consumed(self, role: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for agent in self.agents.values():
            found = plus(
                found,
                scalars(keep(agent.total, lambda each: each.reserved_role != "*" and within(each.reserved_role, role))),
            )
            for (_, holder_role), resources in agent.held.items():
                if within(holder_role, role):
                    found = plus(found, scalars(keep(resources, is_charged)))
        return found

    def unsatisfied(self, role: str) -> dict[str, int]:
        guarantees, consumed = self.quotas.get(role, ({}, {}))[0], self.consumed(role)
        return positive({name: milli - consumed.get(name, 0) for name, milli in guarantees.items()})

    def need(self, role: str) -> dict[str, int]:
        """Of its own guarantees or of those of the roles just below, whichever is more."""
        below = self.need_below(role)
        own = self.unsatisfied(role)
        return {name: max(own.get(name, 0), below.get(name, 0)) for name in {*own, *below}}

    def need_below(self, role: str, *, besides: str = "") -> dict[str, int]:
        found: dict[str, int] = {}
        prefix = f"{role}/" if role else ""
        paths = {path for quota_role in self.quotas for path in prefixes(quota_role)}
        for child in sorted(path for path in paths if path.startswith(prefix) and "/" not in path[len(prefix) :]):
            if not (besides and within(besides, child)):
                found = plus(found, self.need(child))
        return positive(found)

    def _binding(self, role: str) -> list[str]:
        return prefixes(role) if self.settings.nested_quota else [role]

    def entitlement(self, role: str) -> dict[str, int]:
        owed: dict[str, int] = {}
        for each in self._binding(role):
            others = self.need_below(each, besides=role) if self.settings.nested_quota else {}
            for name, milli in self.unsatisfied(each).items():
                owed[name] = max(owed.get(name, 0), milli - others.get(name, 0))
        if self.settings.nested_quota:
            room = self.room(role)
            owed = {name: min(milli, room.get(name, milli)) for name, milli in owed.items()}
        return positive(owed)

    def room(self, role: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in self._binding(role):
            consumed = self.consumed(each)
            for name, limit in self.quotas.get(each, ({}, {}))[1].items():
                left = max(0, limit - consumed.get(name, 0))
                found[name] = min(left, found.get(name, left))
        return found

    def headroom(self) -> dict[str, int]:
        """Only of names that some guarantee needs."""
        available: dict[str, int] = {}
        for agent in self.agents.values():
            available = plus(available, scalars(keep(agent.total, is_charged)))
            for resources in agent.held.values():
                for name, milli in scalars(keep(resources, is_charged)).items():
                    available[name] = available.get(name, 0) - milli
        return {name: max(0, available.get(name, 0) - milli) for name, milli in self.need_below("").items()}

    # --- orders ---

    def _members(self) -> dict[str, set[str]]:
        members: dict[str, set[str]] = {}
        for framework_id, framework in self.frameworks.items():
            for role in framework.roles:
                members.setdefault(role, set()).add(framework_id)
        for agent in self.agents.values():
            for framework_id, role in agent.held:
                members.setdefault(role, set()).add(framework_id)
        return members

    def _wants(self, framework_id: str, role: str) -> bool:
        framework = self.frameworks.get(framework_id)
        return framework is not None and framework.active and role in framework.roles - framework.suppressed

    def _orders(self) -> list[tuple[str, list[str]]]:
        """Roles, and the frameworks in each, all sorted anew."""
        members, totals = self._members(), self.totals()
        clients = {
            role: self._client(None, role, active=any(self._wants(each, role) for each in ids))
            for role, ids in members.items()
        }
        found = []
        for role in order(clients, totals, self.weights, self.role_counts.all()):
            frameworks = {
                each: self._client(each, role, active=self._wants(each, role), count=self.counts.get((each, role), 0))
                for each in members[role]
            }
            found.append((role, order(frameworks, totals, {})))
        return found

    def forget_the_absent(self) -> None:
        """Counts live as long as their role and its framework are known."""
        members = self._members()
        self.role_counts.know(set(members))
        self.counts = {
            (framework_id, role): count
            for (framework_id, role), count in self.counts.items()
            if framework_id in members.get(role, ())
        }

    # --- a run ---

    def run(self, *, now_ns: int, shuffler: Shuffler, batch: bool) -> list[Grant]:
        self.refusals = [r for r in self.refusals if not (now_ns >= r.expires_ns and self.batch_count > r.born_batch)]
        given: dict[tuple[str, str, str], Resources] = {}
        names = [
            name
            for name, agent in self.agents.items()
            if agent.active and (self.whitelist is None or name in self.whitelist)
        ]
        if self.need_below(""):
            for name in shuffler.sample(names, len(names)):
                self._honour(name, given)
        for name in shuffler.sample(names, len(names)):
            self._share(name, given)
        self.batch_count += batch
        return [
            Grant(
                framework_id=FrameworkId(framework_id),
                role=role,
                agent_id=AgentId(name),
                resources=resources,
                allocated=resources.allocated_to(role),
            )
            for (name, framework_id, role), resources in given.items()
        ]

    def _honour(self, name: str, given: dict[tuple[str, str, str], Resources]) -> None:
        for role, frameworks in self._orders():
            for framework_id in frameworks:
                free = self.agents[name].free()
                anybodys = keep(free, lambda each: each.reserved_role == "*")
                chargeable = keep(anybodys, is_charged)
                due = shrink(chargeable, self.entitlement(role), otherwise=False)
                if not due:
                    break
                rest = chargeable - due
                room, taken, headroom = self.room(role), scalars(due), self.headroom()
                bounds = dict(headroom)
                for each, left in room.items():
                    bounds[each] = min(max(0, left - taken.get(each, 0)), bounds.get(each, left))
                alongside = keep(anybodys, lambda each: not is_charged(each))
                own = keep(free, lambda each, role=role: each.reserved_role == role != "*")  # type: ignore[misc]
                burst = shrink(rest, bounds, otherwise=True)
                self._offer(name, role, framework_id, due + burst + alongside + own, given)

    def _share(self, name: str, given: dict[tuple[str, str, str], Resources]) -> None:
        for role, frameworks in self._orders():
            for framework_id in frameworks:
                candidate = usable(self.agents[name].free(), role)
                bounds = self.headroom()
                for each, left in self.room(role).items():
                    bounds[each] = min(left, bounds.get(each, left))
                chargeable = keep(candidate, is_charged)
                alongside = keep(candidate, lambda each: not is_charged(each))
                self._offer(name, role, framework_id, shrink(chargeable, bounds, otherwise=True) + alongside, given)

    def _offer(
        self,
        name: str,
        role: str,
        framework_id: str,
        candidate: Resources,
        given: dict[tuple[str, str, str], Resources],
    ) -> None:
        framework = self.frameworks[framework_id]
        if scalars(self.agents[name].total).get("gpus") and Capability.GPU_RESOURCES not in framework.capabilities:
            return
        if role in framework.only_hosts and name not in framework.only_hosts[role]:
            return
        before = given.get((name, framework_id, role), Resources())
        earlier = [
            each for (agent, who, _), got in given.items() if (agent, who) == (name, framework_id) for each in got
        ]
        offer = keep(
            candidate,
            lambda each: (
                (not each.revocable or Capability.REVOCABLE_RESOURCES in framework.capabilities)
                and (not each.shared or Capability.SHARED_RESOURCES in framework.capabilities)
                and (len(each.reservations) < 2 or Capability.RESERVATION_REFINEMENT in framework.capabilities)
                and not (each.shared and each in earlier)
            ),
        )
        quantities = offer.quantities_milli()
        minimum = framework.minimums.get(role, self.settings.minimum)
        if not offer or (
            minimum and not any(all(quantities.get(n, 0) >= m for n, m in wanted.items()) for wanted in minimum)
        ):
            return
        refused = (r for r in self.refusals if (r.holder, r.agent_id) == ((framework_id, role), name))
        if any(refusal.refused.contains(offer) for refusal in refused):
            return
        self.give(framework_id, role, name, offer)
        given[name, framework_id, role] = before + offer

    def give(self, framework_id: str, role: str, agent_id: str, resources: Resources) -> None:
        held = self.agents[agent_id].held
        held[framework_id, role] = held.get((framework_id, role), Resources()) + resources
        self.counts[framework_id, role] = self.counts.get((framework_id, role), 0) + 1
        self.role_counts.know(set(self._members()))
        self.role_counts.charge(role)

    def convert(self, name: str, holder: tuple[str, str] | None, consumed: Resources, converted: Resources) -> None:
        agent = self.agents[name]
        agent.total = agent.total - consumed + converted
        if holder is not None:
            agent.held[holder] = agent.held[holder] - consumed + converted

    def recover(
        self, framework_id: str, role: str, agent_id: str, resources: Resources, *, refuse_ms: int | None, now_ns: int
    ) -> None:
        held = self.agents[agent_id].held
        held[framework_id, role] -= resources
        if not held[framework_id, role]:
            del held[framework_id, role]
        framework = self.frameworks.get(framework_id)
        if refuse_ms and framework is not None and framework.active and role in framework.roles:
            expires_ns = now_ns + max(refuse_ms * 1_000_000, INTERVAL_NS)
            self.refusals.append(Refusal((framework_id, role), agent_id, resources, expires_ns, self.batch_count))
        self.forget_the_absent()


def keep(resources: Resources, wanted: Callable[[Resource], bool]) -> Resources:
    return Resources(tuple(resource for resource in resources if wanted(resource)))


def unshared(resources: Resources) -> Resources:
    return keep(resources, lambda each: not each.shared)


def is_charged(resource: Resource) -> bool:
    return (
        isinstance(resource.value, Scalar)
        and resource.reserved_role == "*"
        and not resource.revocable
        and not resource.shared
    )


def within(role: str, above: str) -> bool:
    return role == above or role.startswith(f"{above}/")


def positive(amounts: dict[str, int]) -> dict[str, int]:
    return {name: milli for name, milli in amounts.items() if milli > 0}


def shrink(resources: Resources, bounds: dict[str, int], *, otherwise: bool) -> Resources:
    """What cannot be divided first, the largest first."""
    left, kept = dict(bounds), []

    def size(resource: Resource) -> int:
        whole = resource.volume is not None or resource.indivisible
        return resource.value.milli if whole and isinstance(resource.value, Scalar) else 0

    for resource in sorted(resources, key=size, reverse=True):
        assert isinstance(resource.value, Scalar)
        if resource.name not in left:
            kept += [resource] * otherwise
            continue
        fits = min(resource.value.milli, left[resource.name])
        if size(resource) and fits < size(resource):
            continue
        if fits:
            kept.append(replace(resource, value=Scalar(milli=fits)))
            left[resource.name] -= fits
    return Resources(tuple(kept))


def scalars(resources: Resources) -> dict[str, int]:
    found: dict[str, int] = {}
    for resource in resources:
        if isinstance(resource.value, Scalar):
            found[resource.name] = found.get(resource.name, 0) + resource.value.milli
    return found


def usable(free: Resources, role: str) -> Resources:
    return keep(free, lambda each: each.reserved_role in ("*", role) or role.startswith(f"{each.reserved_role}/"))
