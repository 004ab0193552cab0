"""What is in its place, what is not, and what may be removed: decided from what was read, nothing else. Pure.

Removed is only what is provably ours (the state directory with this agent's id was read), without a living supervisor, and
unchanged for a while. A finished exit record is never removed: it is the only one who knows how its container ended.
"""

from __future__ import annotations

from collections.abc import Iterator

from paddock.doctor.finding import Finding, Removal, RemoveCgroup, SweepContainer, Verdict
from paddock.doctor.judging_engine import is_held, judge_engine, of_unknown_agents
from paddock.doctor.traces import AgentTraces, ContainerTraces, Ear, HostTraces, RecordState

SPARE_LIMIT_COUNT = 256


def judge(host: HostTraces, *, min_age_s: float) -> tuple[Finding, ...]:
    """Agent by agent; one's traces say nothing about another's."""
    found = [finding for agent in host.agents for finding in judge_agent(agent, min_age_s=min_age_s)]
    found += of_unknown_agents(host)
    for name, kind in host.others:
        why = "it bears our name and belongs to no agent that is known here"
        remedy = "name its agent's state directory with --state-dir, or remove it by hand"
        found.append(_finding("", kind, name, Verdict.FOREIGN, why, remedy))
    return tuple(found)


def judge_agent(agent: AgentTraces, *, min_age_s: float) -> Iterator[Finding]:
    """The daemon first, then what it has."""
    yield _daemon(agent)
    if not agent.state_dir:
        yield from _of_unknown(agent)
        return
    yield from _processes(agent)
    yield from (_container(agent, each, min_age_s) for each in agent.containers)
    yield from _program_cgroups(agent)
    yield from _sockets(agent)
    yield from _files(agent)
    yield from judge_engine(agent, min_age_s=min_age_s)


def _daemon(agent: AgentTraces) -> Finding:
    if not agent.state_dir:
        remedy = "name its state directory with --state-dir"
        why = "where it keeps its state is not known, so nothing of it is judged or removed"
        return _finding(agent.agent_id, "agent", agent.agent_id, Verdict.FOREIGN, why, remedy)
    if agent.agentd_pid:
        return _finding(agent.agent_id, "agent", agent.state_dir, Verdict.FINE, f"agentd runs, pid {agent.agentd_pid}")
    why = "agentd is down; its containers go on, and their ends wait for it"
    return _finding(agent.agent_id, "agent", agent.state_dir, Verdict.WAITS, why, "start agentd")


def _of_unknown(agent: AgentTraces) -> Iterator[Finding]:
    for path in agent.cgroup_roots:
        yield _finding(agent.agent_id, "cgroup", path, Verdict.FOREIGN, "bears this agent's name")
    for pid in (agent.launcher_pid, *agent.stray_pids):
        if pid:
            yield _finding(agent.agent_id, "process", str(pid), Verdict.FOREIGN, "launcher or shim of this agent")


def _processes(agent: AgentTraces) -> Iterator[Finding]:
    name = f"{agent.runtime_dir}/launcher.sock"
    if agent.launcher_pid:
        yield _finding(agent.agent_id, "launcher", name, Verdict.FINE, f"serves, pid {agent.launcher_pid}")
    elif agent.agentd_pid:
        why = "nobody serves it; agentd starts another launcher by itself"
        yield _finding(agent.agent_id, "launcher", name, Verdict.WAITS, why, "look into launcher.log when it stays so")
    for pid in agent.stray_pids:
        why = "it runs our launcher's program and is neither the launcher, nor its child, nor a shim with a record"
        yield _finding(agent.agent_id, "process", str(pid), Verdict.WRONG, why, f"look at it, then `kill {pid}`")


def _container(agent: AgentTraces, container: ContainerTraces, min_age_s: float) -> Finding:
    name = container.container_id

    def say(verdict: Verdict, why: str, remedy: str = "", removal: Removal | None = None) -> Finding:
        return _finding(agent.agent_id, "container", name, verdict, why, remedy, removal)

    if is_held(container):
        who = f"shim {container.shim_pid}" if container.shim_pid else "its shim"
        return say(Verdict.FINE, f"{who} supervises {container.process_count} processes")
    left = _left(container)
    if not left:
        why = "its exit record is finished, and agentd has not taken it"
        return say(Verdict.WAITS, why, "agentd tells its end, and takes it, at its next start")
    if container.idle_s < min_age_s:
        why = f"{left}, and no shim lives; changed {container.idle_s:.0f} s ago"
        return say(Verdict.WAITS, why, f"look again when it is {min_age_s:.0f} s old")
    removal = SweepContainer(
        container_id=name,
        record=f"{agent.records_dir}/{name}.json",
        socket=f"{agent.runtime_dir}/{name}.sock",
        cgroup_mode=agent.cgroup_mode,
        cgroups=container.cgroups,
    )
    return say(Verdict.WRONG, f"{left}, and no shim lives", "`paddock gc` ends and removes what is left", removal)


def _left(container: ContainerTraces) -> str:
    """In words; empty when nothing but a finished record is there."""
    parts = []
    if container.cgroups:
        parts.append(f"{len(container.cgroups)} cgroups with {container.process_count} processes")
    if container.ear is Ear.DEAD:
        parts.append("a socket that nobody serves")
    if container.record is RecordState.NOTE:
        parts.append("a record that is not finished")
    return ", ".join(parts)


def _program_cgroups(agent: AgentTraces) -> Iterator[Finding]:
    for path, process_count in agent.program_cgroups:
        if agent.agentd_pid:
            why = f"agentd's own programs: {process_count} processes"
            yield _finding(agent.agent_id, "cgroup", path, Verdict.FINE, why)
        elif process_count:
            why = f"{process_count} of agentd's programs, whose agentd is gone; the kernel ends them"
            yield _finding(agent.agent_id, "cgroup", path, Verdict.WAITS, why, "look again")
        else:
            why = "empty, and its agentd is gone"
            removal = RemoveCgroup(path=path)
            yield _finding(agent.agent_id, "cgroup", path, Verdict.WRONG, why, "`paddock gc` removes it", removal)


def _sockets(agent: AgentTraces) -> Iterator[Finding]:
    for socket in agent.sockets:
        if socket.listens:
            yield _finding(agent.agent_id, "socket", socket.path, Verdict.FINE, "served")
        elif agent.agentd_pid:
            why = "agentd runs and does not serve it"
            remedy = "look into agentd's log, then start it anew: containers go on"
            yield _finding(agent.agent_id, "socket", socket.path, Verdict.WRONG, why, remedy)
        else:
            why = "nobody serves it while agentd is down"
            yield _finding(agent.agent_id, "socket", socket.path, Verdict.WAITS, why, "agentd makes it anew")


def _files(agent: AgentTraces) -> Iterator[Finding]:
    if agent.spare_count:
        why = f"{agent.spare_count} spare files for the next containers' records"
        verdict = Verdict.FINE if agent.spare_count <= SPARE_LIMIT_COUNT else Verdict.WAITS
        remedy = "" if verdict is Verdict.FINE else "agentd removes what is too much at its next start"
        yield _finding(agent.agent_id, "records", agent.records_dir, verdict, why, remedy)
    for name in agent.strays:
        path = f"{agent.records_dir}/{name}"
        why = "nothing of ours is called like this"
        yield _finding(agent.agent_id, "record", path, Verdict.WRONG, why, f"look at it, then remove {path} by hand")
    volumes = f"{agent.work_dir}/agents/{agent.agent_id}/volumes"
    if agent.volume_count:
        why = f"{agent.volume_count} persistent volumes; they go by DESTROY only"
        yield _finding(agent.agent_id, "volumes", volumes, Verdict.FINE, why)
    for path in agent.mounts:
        if path.startswith(f"{volumes}/"):
            why = "a mount in a persistent volume: a DESTROY of it would wait for its end"
            yield _finding(agent.agent_id, "mount", path, Verdict.FINE, why)
            continue
        why = "a mount in a directory of this agent: what is below cannot be removed"
        yield _finding(agent.agent_id, "mount", path, Verdict.WRONG, why, f"`umount {path}`")
    if agent.sandbox_count:
        why = f"{agent.sandbox_count} sandboxes; they go by age"
        yield _finding(agent.agent_id, "sandboxes", agent.work_dir, Verdict.FINE, why)
    if agent.removed_count:
        path = f"{agent.work_dir}/agents/{agent.agent_id}/.removed"
        why = f"{agent.removed_count} directories of sandboxes are being removed"
        remedy = "look into agentd's log when they stay: a mount, or a file that cannot be changed"
        yield _finding(agent.agent_id, "sandboxes", path, Verdict.WAITS, why, remedy)


def _finding(
    agent_id: str,
    kind: str,
    name: str,
    verdict: Verdict,
    why: str,
    remedy: str = "",
    removal: Removal | None = None,
) -> Finding:
    return Finding(agent_id=agent_id, kind=kind, name=name, verdict=verdict, why=why, remedy=remedy, removal=removal)
