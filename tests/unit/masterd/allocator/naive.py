"""The same rules written down a second time, as plainly as possible: fractions, full sorts, no caches, no tricks."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from masterd.allocator.interface import Grant, Shuffler
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


class NaiveAllocator:
    """Only what the random histories use. Every run looks at every agent."""

    def __init__(self) -> None:
        self.agents: dict[str, Resources] = {}
        self.held: dict[str, dict[tuple[str, str], Resources]] = {}
        self.frameworks: dict[str, Framework] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self.role_counts = Counts()
        self.refusals: list[Refusal] = []
        self.weights: dict[str, int] = {}
        self.batch_count = 0

    def free(self, agent_id: str) -> Resources:
        rest = self.agents[agent_id]
        for resources in self.held[agent_id].values():
            rest -= resources
        return rest

    def totals(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for total in self.agents.values():
            found = plus(found, scalars(total))
        return found

    def _allocated(self, framework_id: str | None, role: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for holders in self.held.values():
            for (holder, holder_role), resources in holders.items():
                if holder_role == role and framework_id in {None, holder}:
                    found = plus(found, scalars(resources))
        return found

    def _members(self) -> dict[str, set[str]]:
        members: dict[str, set[str]] = {}
        for framework_id, framework in self.frameworks.items():
            for role in framework.roles:
                members.setdefault(role, set()).add(framework_id)
        for holders in self.held.values():
            for framework_id, role in holders:
                members.setdefault(role, set()).add(framework_id)
        return members

    def _wants(self, framework_id: str, role: str) -> bool:
        framework = self.frameworks.get(framework_id)
        return framework is not None and framework.active and role in framework.roles - framework.suppressed

    def _role_order(self) -> list[str]:
        members = self._members()
        clients = {
            role: Client(
                active=any(self._wants(framework_id, role) for framework_id in ids),
                allocated=self._allocated(None, role),
            )
            for role, ids in members.items()
        }
        return order(clients, self.totals(), self.weights, self.role_counts.all())

    def _framework_order(self, role: str) -> list[str]:
        clients = {
            framework_id: Client(
                active=self._wants(framework_id, role),
                allocated=self._allocated(framework_id, role),
                count=self.counts.get((framework_id, role), 0),
            )
            for framework_id in self._members()[role]
        }
        return order(clients, self.totals(), {})

    def forget_the_absent(self) -> None:
        """Counts live as long as their role and its framework are known."""
        members = self._members()
        self.role_counts.know(set(members))
        self.counts = {
            (framework_id, role): count
            for (framework_id, role), count in self.counts.items()
            if framework_id in members.get(role, ())
        }

    def run(self, *, now_ns: int, shuffler: Shuffler, batch: bool) -> list[Grant]:
        self.refusals = [r for r in self.refusals if not (now_ns >= r.expires_ns and self.batch_count > r.born_batch)]
        grants: list[Grant] = []
        agent_ids = list(self.agents)
        for agent_id in shuffler.sample(agent_ids, len(agent_ids)):
            grants += self._visit(agent_id)
        self.batch_count += batch
        return grants

    def _visit(self, agent_id: str) -> list[Grant]:
        grants: list[Grant] = []
        roles = self._role_order()
        frameworks = {role: self._framework_order(role) for role in roles}
        for role in roles:
            for framework_id in frameworks[role]:
                candidate = usable(self.free(agent_id), role)
                if candidate.scalar_milli("cpus") < 10 and candidate.scalar_milli("mem") < 32_000:
                    continue
                refused = (r for r in self.refusals if (r.holder, r.agent_id) == ((framework_id, role), agent_id))
                if any(refusal.refused.contains(candidate) for refusal in refused):
                    continue
                self.give(framework_id, role, agent_id, candidate)
                grants.append(
                    Grant(
                        framework_id=FrameworkId(framework_id),
                        role=role,
                        agent_id=AgentId(agent_id),
                        resources=candidate,
                        allocated=candidate.allocated_to(role),
                    )
                )
        return grants

    def give(self, framework_id: str, role: str, agent_id: str, resources: Resources) -> None:
        holders = self.held[agent_id]
        holders[framework_id, role] = holders.get((framework_id, role), Resources()) + resources
        self.counts[framework_id, role] = self.counts.get((framework_id, role), 0) + 1
        self.role_counts.charge(role)

    def recover(
        self, framework_id: str, role: str, agent_id: str, resources: Resources, *, refuse_ms: int, now_ns: int
    ) -> None:
        holders = self.held[agent_id]
        holders[framework_id, role] -= resources
        if not holders[framework_id, role]:
            del holders[framework_id, role]
        framework = self.frameworks.get(framework_id)
        if refuse_ms and framework is not None and framework.active and role in framework.roles:
            expires_ns = now_ns + max(refuse_ms * 1_000_000, INTERVAL_NS)
            self.refusals.append(Refusal((framework_id, role), agent_id, resources, expires_ns, self.batch_count))
        self.forget_the_absent()


def scalars(resources: Resources) -> dict[str, int]:
    found: dict[str, int] = {}
    for resource in resources:
        if isinstance(resource.value, Scalar):
            found[resource.name] = found.get(resource.name, 0) + resource.value.milli
    return found


def usable(free: Resources, role: str) -> Resources:
    def may(resource: Resource) -> bool:
        reserved = resource.reserved_role
        return reserved in ("*", role) or role.startswith(f"{reserved}/")

    return Resources(tuple(resource for resource in free if may(resource)))
